"""Builds the houses of a row as geometry: walls with real openings, cornices, balconies, awnings, roofs."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from daco_training.city.streets.buildings import Building, Opening
from daco_training.city.streets.geometry import Colour, Soup, StreetFrame, linear

DEPTH = 10.0  # metres from a building's facade to its back


def _shade(shade: tuple[int, int, int], factor: float = 1.0) -> Colour:
    red, green, blue = linear(*shade)
    return red * factor, green * factor, blue * factor


def _cells(
    width: float, bottom: float, top: float, holes: Iterable[Opening]
) -> list[tuple[float, float, float, float]]:
    """The wall between `bottom` and `top` cut into rectangles that leave the holes out."""
    holes = list(holes)
    across = sorted({0.0, width, *(h.left for h in holes), *(h.right for h in holes)})
    upward = sorted({bottom, top, *(h.bottom for h in holes), *(h.top for h in holes)})
    cells = []
    for c, d in pairwise(upward):
        run: float | None = None
        for a, b in pairwise(across):
            middle, level = (a + b) / 2, (c + d) / 2
            inside = any(h.left < middle < h.right and h.bottom < level < h.top for h in holes)
            if not inside and run is None:
                run = a
            if run is not None and (inside or b == width):
                cells.append((run, a if inside else b, c, d))
                run = None
    return cells


def _upright(rectangles: np.ndarray, depth: np.ndarray | float) -> np.ndarray:
    """Rectangles (n, 4) of left, right, bottom, top as quads (n, 4, 3) in (u, d, z)."""
    a, b, c, d = rectangles.T
    y = np.broadcast_to(depth, a.shape)
    return np.stack(
        [np.stack([a, y, c], 1), np.stack([b, y, c], 1), np.stack([b, y, d], 1), np.stack([a, y, d], 1)], axis=1
    )


def _reveals(openings: Iterable[Opening], recess: float) -> np.ndarray:
    quads = []
    for o in openings:
        a, b, c, d, r = o.left, o.right, o.bottom, o.top, recess
        quads += [
            [[a, 0, c], [a, r, c], [a, r, d], [a, 0, d]],
            [[b, r, c], [b, 0, c], [b, 0, d], [b, r, d]],
            [[a, 0, c], [b, 0, c], [b, r, c], [a, r, c]],
            [[a, r, d], [b, r, d], [b, 0, d], [a, 0, d]],
        ]
    return np.array(quads)


def _roof(soup: Soup, frame: StreetFrame, building: Building) -> None:
    u, w, h, rise = building.start, building.width, building.height, building.roof_rise
    wall, tile = _shade(building.wall_shade, 0.8), _shade(building.roof_shade)
    sides = [
        [[u, 0, 0], [u, 0, h], [u, DEPTH, h], [u, DEPTH, 0]],
        [[u + w, 0, 0], [u + w, DEPTH, 0], [u + w, DEPTH, h], [u + w, 0, h]],
        [[u, DEPTH, 0], [u, DEPTH, h], [u + w, DEPTH, h], [u + w, DEPTH, 0]],
    ]
    soup.quads("paint", frame.world(np.array(sides, float)), colour=wall)
    if building.roof == "flat":
        top = np.array([[[u, 0, h - 0.3], [u + w, 0, h - 0.3], [u + w, DEPTH, h - 0.3], [u, DEPTH, h - 0.3]]])
        soup.quads("paint", frame.world(top), colour=(0.16, 0.16, 0.16))
        return
    middle, ridge = DEPTH / 2, h + rise
    if building.roof == "pitched":
        eave = h - 0.1
        slopes = [
            [[u, -0.35, eave], [u + w, -0.35, eave], [u + w, middle, ridge], [u, middle, ridge]],
            [[u + w, DEPTH, eave], [u, DEPTH, eave], [u, middle, ridge], [u + w, middle, ridge]],
        ]
        ends = np.array(
            [[u, 0, h], [u, middle, ridge], [u, DEPTH, h], [u + w, 0, h], [u + w, DEPTH, h], [u + w, middle, ridge]]
        )
        chimney = u + w * (0.2 + 0.6 * (building.texture_seed % 97) / 97)
        soup.box("paint", frame, (chimney, 3.6, h), (chimney + 0.7, 4.2, ridge + 0.8), _shade((120, 80, 66)))
    else:
        centre, out = u + w / 2, -0.25
        slopes = [
            [[u - 0.15, DEPTH, h], [u - 0.15, out, h], [centre, out, ridge], [centre, DEPTH, ridge]],
            [[u + w + 0.15, out, h], [u + w + 0.15, DEPTH, h], [centre, DEPTH, ridge], [centre, out, ridge]],
        ]
        ends = np.array(
            [[u, 0, h], [u + w, 0, h], [centre, 0, ridge], [u, DEPTH, h], [centre, DEPTH, ridge], [u + w, DEPTH, h]]
        )
    soup.quads("paint", frame.world(np.array(slopes, float)), colour=tile)
    shade = _shade(building.wall_shade) if building.roof == "gable" else wall
    soup.add("paint", frame.world(ends), np.array([[0, 1, 2], [3, 4, 5]]), colour=shade)


def _relief(soup: Soup, frame: StreetFrame, building: Building) -> None:
    """Adds what projects from the wall: cornice, sills, balconies, awning."""
    u, w, h = building.start, building.width, building.height
    trim = _shade(building.trim_shade)
    if building.roof == "flat" or building.bands:
        soup.box("paint", frame, (u, -0.28, h - 0.32), (u + w, 0.1, h), trim)
    if building.bands:
        g = building.ground_height
        soup.box("paint", frame, (u, -0.12, g - 0.02), (u + w, 0.02, g + 0.18), trim)
    for o in building.openings:
        if o.kind == "window":
            soup.box(
                "paint", frame, (u + o.left - 0.06, -0.1, o.bottom - 0.08), (u + o.right + 0.06, 0.05, o.bottom), trim
            )
        if o.kind == "shop" and building.awning_shade:
            low, high = o.top + 0.05, o.top + 0.5
            slope = [[u + o.left, -1.1, low], [u + o.right, -1.1, low], [u + o.right, 0, high], [u + o.left, 0, high]]
            lip = [[u + o.left, -1.1, low - 0.2], [u + o.right, -1.1, low - 0.2], slope[1], slope[0]]
            soup.quads("paint", frame.world(np.array([slope, lip], float)), colour=_shade(building.awning_shade))
    rail = _shade(building.frame_shade, 0.4)
    for o in building.balconies:
        left, right, floor = u + o.left - 0.35, u + o.right + 0.35, o.bottom - 0.25
        soup.box("paint", frame, (left, -0.95, floor - 0.14), (right, 0, floor), trim)
        soup.box("paint", frame, (left, -0.95, floor + 0.85), (right, -0.9, floor + 0.92), rail)
        for n in range(int((right - left) / 0.16) + 1):
            spot = left + 0.16 * n
            soup.box("paint", frame, (spot, -0.93, floor), (spot + 0.03, -0.91, floor + 0.88), rail)


def build_row(
    soup: Soup, frame: StreetFrame, row: list[Building], uv_low: tuple[float, float], uv_metre: tuple[float, float]
) -> None:
    """Adds a row of houses. A facade's point (u, z) is at `uv_low + (u, z) * uv_metre` in the facade texture."""

    def texture(quads: np.ndarray) -> np.ndarray:
        return np.asarray(np.array(uv_low) + quads[..., [0, 2]] * np.array(uv_metre))

    for building in row:
        shift = np.array([building.start, 0.0, 0.0])
        if building.wall == "lot":
            fence = _upright(np.array([[0.0, building.width, 0.0, building.height]]), 0.2) + shift
            soup.quads("facade", frame.world(fence), texture(fence))
            continue
        ground = [o for o in building.openings if o.bottom < building.ground_height]
        upper = [o for o in building.openings if o.bottom >= building.ground_height]
        cells = _cells(building.width, 0.0, building.ground_height, ground)
        cells += _cells(building.width, building.ground_height, building.height, upper)
        wall = _upright(np.array(cells), 0.0) + shift
        soup.quads("facade", frame.world(wall), texture(wall))
        holes = np.array([[o.left, o.right, o.bottom, o.top] for o in building.openings])
        panes = _upright(holes, building.recess) + shift
        solid = np.array([o.kind in ("garage", "door") for o in building.openings])
        soup.quads("glass", frame.world(panes[~solid]), texture(panes[~solid]))
        soup.quads("facade", frame.world(panes[solid]), texture(panes[solid]))
        reveals = _reveals(building.openings, building.recess) + shift
        soup.quads(
            "paint",
            frame.world(reveals),
            colour=_shade(building.trim_shade if building.surround else building.wall_shade),
        )
        if building.sign:
            left, right, bottom, top = building.sign_band
            front = _upright(np.array([[left, right, bottom, top]]), -0.12) + shift
            soup.quads("glass", frame.world(front), texture(front))
            edge = _shade(building.sign_shade, 0.6)
            soup.box("paint", frame, (building.start + left, -0.11, bottom), (building.start + right, 0.0, top), edge)
        _roof(soup, frame, building)
        _relief(soup, frame, building)
