"""Builds street furniture: trees, lamps, cars, projecting signs, bollards, bins."""

from dataclasses import dataclass

import numpy as np

from daco_training.city.streets.geometry import Colour, Soup, StreetFrame, linear

CAR_COLOURS = (
    (20, 20, 22), (236, 236, 236), (120, 124, 128), (186, 188, 190), (150, 24, 28), (24, 48, 110), (40, 74, 60),
    (200, 170, 60), (90, 70, 56), (60, 110, 150),
)  # fmt: skip
LAMP_TINTS: tuple[Colour, ...] = ((1.0, 0.56, 0.2), (1.0, 0.72, 0.42), (0.86, 0.93, 1.0), (1.0, 0.86, 0.68))


@dataclass(frozen=True)
class Lamp:
    """The head of a street lamp: the position of its light in street x, y, z, and its linear tint."""

    position: tuple[float, float, float]
    tint: Colour


def add_tree(soup: Soup, rng: np.random.Generator, x: float, y: float, leaves: int = 1300) -> None:
    """Adds a tree at street x, y: a trunk, a few boughs and a crown of leaf cards."""
    height, crown = rng.uniform(5.0, 9.5), rng.uniform(1.3, 2.3)
    trunk = rng.uniform(2.2, 3.0)
    bark = linear(*(int(v) for v in rng.integers(60, 100, 1).repeat(3) - [0, 12, 24]))
    foot, fork = np.array([x, y, 0.0]), np.array([x + rng.uniform(-0.2, 0.2), y + rng.uniform(-0.2, 0.2), trunk])
    soup.tube("paint", foot, fork, (rng.uniform(0.13, 0.22), 0.1), bark, 7)
    middle = np.array([fork[0], fork[1], (trunk + height) / 2 + 0.2])
    for _ in range(4):
        tip = middle + rng.uniform(-0.6, 0.6, 3) * [crown, crown, crown]
        soup.tube("paint", fork, tip, (0.07, 0.03), bark, 5)
    radii = np.array([crown, crown, (height - trunk) / 2])
    clumps = rng.standard_normal((14, 3))
    clumps *= (rng.uniform(0.35, 0.8, (14, 1))) / np.linalg.norm(clumps, axis=1, keepdims=True)
    centre = clumps[rng.integers(14, size=leaves)] + 0.2 * rng.standard_normal((leaves, 3))
    centre = middle + centre * radii
    side = rng.standard_normal((leaves, 3))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(side, rng.standard_normal((leaves, 3)))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    half = rng.uniform(0.08, 0.17, (leaves, 1))
    quads = np.stack([centre - half * side, centre + half * other, centre + half * side, centre - half * other], axis=1)
    hue = np.array(linear(int(rng.integers(60, 120)), int(rng.integers(96, 135)), int(rng.integers(30, 60))))
    soup.quads("paint", quads, colour=hue * rng.uniform(0.6, 1.35, (leaves, 1)))


def add_lamp(soup: Soup, style: int, x: float, y: float, tint: Colour) -> Lamp:
    """Adds a lamp with its foot at street x, y and its arm towards the middle of the road."""
    metal = ((0.06, 0.07, 0.07), (0.25, 0.26, 0.27), (0.03, 0.06, 0.05))[style]
    inward = -float(np.sign(y))
    height, arm = ((5.2, 0.9), (7.0, 1.6), (4.0, 0.0))[style]
    top = np.array([x, y, height])
    soup.tube("paint", np.array([x, y, 0.0]), top, (0.09, 0.05), metal, 8)
    head = np.array([x, y + inward * arm, height - 0.05])
    if arm:
        soup.tube("paint", top, head + [0, 0, 0.1], (0.05, 0.04), metal, 6)
        soup.tube("paint", head + [0, 0, 0.0], head + [0, 0, 0.16], (0.24, 0.12), metal, 10)
        soup.tube("lamp", head - [0, 0, 0.06], head - [0, 0, 0.005], (0.12, 0.17), tint, 10)
    else:
        soup.tube("lamp", head + [0, 0, 0.1], head + [0, 0, 0.5], (0.1, 0.16), tint, 8)
        soup.tube("paint", head + [0, 0, 0.5], head + [0, 0, 0.72], (0.24, 0.03), metal, 8)
        head = head + [0, 0, 0.02]
    return Lamp((float(head[0]), float(head[1]), float(head[2] - 0.12)), tint)


def add_blade(
    soup: Soup, frame: StreetFrame, u: float, bottom: float, size: float, shade: tuple[int, int, int], glows: bool
) -> None:
    """Adds a sign that projects from a facade on a bracket; `glows` makes its faces emit light."""
    colour = linear(*shade)
    soup.box(
        "paint", frame, (u - 0.03, -0.25 - size, bottom + size), (u + 0.03, 0, bottom + size + 0.05), (0.04, 0.04, 0.04)
    )
    soup.box(
        "sign" if glows else "gloss", frame, (u - 0.06, -0.2 - size, bottom), (u + 0.06, -0.2, bottom + size), colour
    )


def _prism(
    soup: Soup, material: str, place: tuple[float, float, float], outline: np.ndarray, half: np.ndarray, colour: Colour
) -> None:
    """Adds a car's body: an outline (n, 2) of x, z, with a half width (n,) at each point."""
    x, y, turn = place
    n = len(outline)
    left = np.stack([outline[:, 0], half, outline[:, 1]], 1)
    right = left * [1, -1, 1]
    vertices = np.concatenate([left, right])
    c, s = np.cos(turn), np.sin(turn)
    world = np.stack(
        [x + c * vertices[:, 0] - s * vertices[:, 1], y + s * vertices[:, 0] + c * vertices[:, 1], vertices[:, 2]], 1
    )
    i, j = np.arange(n), (np.arange(n) + 1) % n
    around = np.concatenate([np.stack([i, j, j + n], 1), np.stack([i, j + n, i + n], 1)])
    fan = np.arange(1, n - 1)
    caps = np.concatenate(
        [np.stack([np.zeros_like(fan), fan + 1, fan], 1), n + np.stack([np.zeros_like(fan), fan, fan + 1], 1)]
    )
    soup.add(material, world, np.concatenate([around, caps]), colour=colour)


def add_car(soup: Soup, rng: np.random.Generator, x: float, y: float, turn: float) -> float:
    """Adds a parked car with its middle at street x, y, rotated by `turn` radians; returns its length in metres."""
    kind = rng.choice(["hatch", "saloon", "van", "suv"], p=[0.38, 0.3, 0.14, 0.18])
    length = {"hatch": 4.0, "saloon": 4.6, "van": 5.2, "suv": 4.6}[kind] * rng.uniform(0.95, 1.05)
    height = {"hatch": 1.48, "saloon": 1.44, "van": 2.2, "suv": 1.72}[kind] * rng.uniform(0.97, 1.04)
    belt, wide, half = 0.62 * height if kind != "van" else 1.2, 0.88, length / 2
    body = linear(*CAR_COLOURS[rng.integers(len(CAR_COLOURS))])
    place = (x, y, turn)
    nose = 0.8 * belt
    lower = np.array(
        [[-half, 0.32], [half, 0.32], [half + 0.02, 0.55], [half - 0.08, nose],
         [half * 0.45, belt], [-half + 0.1, belt], [-half, nose]]
    )  # fmt: skip
    _prism(soup, "gloss", place, lower, np.array([wide, wide, wide, 0.93 * wide, wide, wide, 0.95 * wide]), body)
    front = {"hatch": 0.42, "saloon": 0.38, "van": 0.78, "suv": 0.44}[kind] * half
    back = {"hatch": 0.92, "saloon": 0.72, "van": 0.99, "suv": 0.95}[kind] * half
    roof_front, roof_back = (
        front - 0.42 * half * (0.5 if kind == "van" else 1.0),
        -back + (0.1 if kind != "saloon" else 0.22) * half,
    )
    glass = np.array([[-back, belt], [front, belt], [roof_front, height - 0.05], [roof_back, height - 0.05]])
    _prism(soup, "gloss", place, glass, np.array([0.95, 0.95, 0.78, 0.78]) * wide, (0.02, 0.025, 0.03))
    roof = np.array(
        [
            [roof_back - 0.05, height - 0.05],
            [roof_front + 0.05, height - 0.05],
            [roof_front - 0.1, height],
            [roof_back + 0.1, height],
        ]
    )
    _prism(soup, "gloss", place, roof, np.array([0.8, 0.8, 0.72, 0.72]) * wide, body)
    if kind == "van":
        panel = np.array(
            [[-back, belt], [roof_front * 0.4, belt], [roof_front * 0.4, height - 0.02], [-back + 0.05, height - 0.02]]
        )
        _prism(soup, "gloss", place, panel, np.array([0.97, 0.97, 0.82, 0.82]) * wide, body)
    pillars = [0.5 * (roof_front + roof_back)] if kind != "van" else []
    for spot in pillars:
        post = np.array(
            [[spot - 0.05, belt], [spot + 0.05, belt], [spot + 0.05, height - 0.04], [spot - 0.05, height - 0.04]]
        )
        _prism(soup, "gloss", place, post, np.array([0.96, 0.96, 0.79, 0.79]) * wide, body)
    c, s = np.cos(turn), np.sin(turn)
    for along in (-0.62 * half, 0.62 * half):
        for across in (-1, 1):
            centre = np.array(
                [x + c * along - s * across * (wide - 0.1), y + s * along + c * across * (wide - 0.1), 0.32]
            )
            out = np.array([-s * across, c * across, 0.0])
            soup.tube("paint", centre - 0.1 * out, centre + 0.12 * out, (0.32, 0.32), (0.015, 0.015, 0.015), 12)
            soup.tube("gloss", centre + 0.1 * out, centre + 0.13 * out, (0.19, 0.17), (0.3, 0.3, 0.32), 8)
    frame = StreetFrame((x, y), (c, s))
    for aside in (-0.62, 0.62):
        soup.box(
            "gloss",
            frame,
            (half - 0.12, aside - 0.18, nose - 0.16),
            (half + 0.03, aside + 0.18, nose - 0.02),
            (0.7, 0.7, 0.68),
        )
        soup.box(
            "gloss",
            frame,
            (-half - 0.02, aside - 0.16, nose - 0.16),
            (-half + 0.08, aside + 0.16, nose + 0.04),
            (0.35, 0.01, 0.01),
        )
    for end in (-half - 0.02, half + 0.0):
        soup.box("paint", frame, (end, -0.26, 0.42), (end + 0.04, 0.26, 0.54), (0.75, 0.75, 0.7))
    return float(length)


def add_small(soup: Soup, rng: np.random.Generator, x: float, y: float) -> None:
    """Adds a bin, a bollard, a bench, a planter or a traffic sign at street x, y."""
    kind = rng.integers(5)
    foot = np.array([x, y, 0.1])
    if kind == 0:
        colour = linear(*(int(v) for v in rng.integers(30, 120, 3)))
        soup.tube("paint", foot, foot + [0, 0, 0.95], (0.24, 0.28), colour, 10)
    elif kind == 1:
        soup.tube("paint", foot, foot + [0, 0, 0.9], (0.07, 0.07), (0.05, 0.05, 0.05), 8)
    elif kind == 2:
        wood = linear(120, 84, 50)
        soup.box("paint", StreetFrame((x, y), (1, 0)), (-0.8, -0.22, 0.5), (0.8, 0.22, 0.57), wood)
        soup.box("paint", StreetFrame((x, y), (1, 0)), (-0.7, -0.2, 0.1), (-0.6, 0.2, 0.5), (0.05, 0.05, 0.05))
        soup.box("paint", StreetFrame((x, y), (1, 0)), (0.6, -0.2, 0.1), (0.7, 0.2, 0.5), (0.05, 0.05, 0.05))
    elif kind == 3:
        soup.tube("paint", foot, foot + [0, 0, 0.5], (0.35, 0.45), linear(150, 130, 110), 10)
        spots = foot + [0, 0, 0.7] + 0.25 * rng.standard_normal((60, 3))
        quads = spots[:, None] + 0.1 * rng.standard_normal((60, 4, 3))
        soup.quads("paint", quads, colour=np.array(linear(70, 110, 40)) * rng.uniform(0.6, 1.3, (60, 1)))
    else:
        soup.tube("paint", foot, foot + [0, 0, 2.6], (0.035, 0.035), (0.35, 0.35, 0.35), 6)
        face, back = foot + [0.05, 0, 2.4], foot + [0.07, 0, 2.4]
        rim = linear(180, 24, 30) if rng.random() < 0.6 else linear(24, 70, 160)
        soup.tube("paint", face, back, (0.32, 0.32), rim, 16)
        soup.tube("paint", face + [0.021, 0, 0], back + [0.004, 0, 0], (0.22, 0.22), (0.8, 0.8, 0.8), 16)
