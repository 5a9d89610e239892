"""Assembles a street: houses, ground, trees and lamps for all domains; cars and lights for one domain."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from daco_training.city.plan import STREET_LENGTH, stream
from daco_training.city.streets import facade
from daco_training.city.streets.buildings import SIGNS, Building, draw_row
from daco_training.city.streets.furniture import LAMP_TINTS, Lamp, add_blade, add_car, add_lamp, add_small, add_tree
from daco_training.city.streets.geometry import Part, Soup, StreetFrame
from daco_training.city.streets.ground import lay_ground, paint_ground
from daco_training.city.streets.houses import build_row

END_GAP = 9.0  # metres: the cross street at either end
END_LENGTH = 44.0  # metres of the row that closes the view across that street
STRIP = 20.0  # metres: the height of the strip for a row in the facade texture


@dataclass(frozen=True)
class StreetModel:
    """The fixed parts of a street: its faces by material, textures (8-bit sRGB), rows, lamps and measures."""

    parts: dict[str, Part]
    facades: np.ndarray
    ground: np.ndarray
    rows: tuple[tuple[Building, ...], ...]
    lamps: tuple[Lamp, ...]
    road: float  # metres, half the road's width
    pavement: float


def _strips(rows: tuple[tuple[Building, ...], ...]) -> list[tuple[float, float]]:
    """Where each row's strip begins in the facade texture: metres from the left edge, metres from the top."""
    return [(0.0, STRIP), (0.0, 2 * STRIP), (0.0, 3 * STRIP), (STREET_LENGTH / 2, 3 * STRIP)][: len(rows)]


def _frames(front: float) -> list[StreetFrame]:
    length, half = STREET_LENGTH, END_LENGTH / 2
    return [
        StreetFrame((0.0, front), (1.0, 0.0)),
        StreetFrame((length, -front), (-1.0, 0.0)),
        StreetFrame((length + END_GAP, half), (0.0, -1.0)),
        StreetFrame((-END_GAP, -half), (0.0, 1.0)),
    ]


def _paste(texture: np.ndarray, image: np.ndarray, building: Building, strip: tuple[float, float]) -> None:
    left = round((strip[0] + building.start) * facade.TEXELS)
    bottom = round(strip[1] * facade.TEXELS)
    room = texture[bottom - image.shape[0] : bottom, left : left + image.shape[1]]
    room[:] = image[:, : room.shape[1]]


def _texture_shape() -> tuple[int, int, int]:
    return round(3 * STRIP * facade.TEXELS), round(STREET_LENGTH * facade.TEXELS), 3


@lru_cache(maxsize=2)
def build_street(seed: int, street: int) -> StreetModel:
    """The parts of a street that all domains share."""
    rng = stream(seed, "street", street)
    road, pavement = rng.uniform(4.5, 6.0), rng.uniform(2.2, 3.6)
    front = road + pavement
    lengths = (STREET_LENGTH, STREET_LENGTH, END_LENGTH, END_LENGTH)
    rows = tuple(tuple(draw_row(rng, length)) for length in lengths)
    shape = _texture_shape()
    texture = np.full(shape, 90, np.uint8)
    soup = Soup()
    frames, strips = _frames(front), _strips(rows)
    metre = (1.0 / STREET_LENGTH, -1.0 / (3 * STRIP))
    for row, frame, strip in zip(rows, frames, strips, strict=True):
        for building in row:
            _paste(texture, facade.paint_day(building), building, strip)
        build_row(soup, frame, list(row), (strip[0] / STREET_LENGTH, strip[1] / (3 * STRIP)), metre)
        for building in row:
            if building.blade:
                shade = SIGNS[int(rng.integers(len(SIGNS)))]
                spot = building.start + rng.uniform(0.5, building.width - 0.5)
                add_blade(
                    soup, frame, spot, building.ground_height - 0.6, 0.55 * building.blade, shade, rng.random() < 0.6
                )
            if building.wall == "lot":
                for _ in range(int(building.width / 3)):
                    point = np.array([building.start + rng.uniform(1, building.width - 1), rng.uniform(2, 8), 0.0])
                    x, y, _ = frame.world(point)
                    add_tree(soup, rng, float(x), float(y), 600)
        back = 26.0
        while frame in frames[:2] and back < STREET_LENGTH:
            wide, tall = rng.uniform(10, 22), rng.uniform(6, 13)
            grey = rng.uniform(0.15, 0.4)
            soup.box("paint", frame, (back, 28, 0), (back + wide, 36, tall), (grey, grey * 0.95, grey * 0.88))
            back += wide + rng.uniform(2, 12)
    lay_ground(soup, -END_GAP, STREET_LENGTH + END_GAP, road, pavement)
    lamps = _furnish(soup, rng, road, pavement)
    ground = paint_ground(rng, STREET_LENGTH + 2 * END_GAP, road, pavement)
    return StreetModel(soup.parts(), texture, ground, rows, lamps, road, pavement)


def _furnish(soup: Soup, rng: np.random.Generator, road: float, pavement: float) -> tuple[Lamp, ...]:
    tint, style = LAMP_TINTS[rng.integers(len(LAMP_TINTS))], int(rng.integers(3))
    spacing, both = rng.uniform(20, 28), rng.random() < 0.5
    lamps = []
    side = 1.0
    for x in np.arange(rng.uniform(2, 12), STREET_LENGTH, spacing * (0.8 if not both else 1.0)):
        lamps.append(add_lamp(soup, style, float(x), side * (road + 0.4), tint))
        side = -side if both else side
    green = rng.random()
    for way in (1.0, -1.0):
        if green < 0.25:
            continue
        gap = rng.uniform(9, 24)
        for x in np.arange(rng.uniform(0, 10), STREET_LENGTH, gap):
            if rng.random() < 0.75:
                add_tree(soup, rng, float(x + rng.uniform(-1, 1)), way * (road + rng.uniform(0.6, 0.9)))
    for _ in range(int(rng.integers(12, 30))):
        way = 1.0 if rng.random() < 0.5 else -1.0
        add_small(
            soup, rng, float(rng.uniform(0, STREET_LENGTH)), way * (road + rng.uniform(0.5, max(0.6, pavement - 0.6)))
        )
    return tuple(lamps)


def park_cars(seed: int, street: int, domain: str, model: StreetModel) -> dict[str, Part]:
    """The cars that were parked in the street when a domain was photographed."""
    rng = stream(seed, f"cars by {domain}", street)
    soup = Soup()
    for side in (1.0, -1.0):
        share = rng.uniform(0.25, 0.85)
        x = rng.uniform(0, 5)
        while x < STREET_LENGTH:
            if rng.random() < share:
                turn = (0.0 if side < 0 else np.pi) + rng.normal(0, 0.02) + (np.pi if rng.random() < 0.12 else 0.0)
                x += add_car(soup, rng, x, side * (model.road - 1.08 + rng.uniform(-0.1, 0.06)), turn)
            else:
                x += 5.4
            x += rng.uniform(0.5, 1.4)
    return soup.parts()


def light_windows(seed: int, street: int, domain: str, model: StreetModel) -> np.ndarray:
    """The light that the facades emit in a domain: linear radiance (height, width, 3) at half the texture's size."""
    rng = stream(seed, f"windows by {domain}", street)
    glow = np.zeros(_texture_shape(), np.float32)
    for row, strip in zip(model.rows, _strips(model.rows), strict=True):
        for building in row:
            if building.wall != "lot":
                _paste(glow, facade.paint_glow(building, rng), building, strip)
    height, width, _ = glow.shape
    return np.asarray(glow.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)))
