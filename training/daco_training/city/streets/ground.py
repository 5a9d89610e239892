"""Paints and builds the ground: asphalt with patches and markings, kerbs and pavements."""

import numpy as np
from PIL import Image, ImageDraw

from daco_training.city.streets.facade import soft_noise
from daco_training.city.streets.geometry import Soup

TEXELS = 14  # texture pixels per metre
KERB = 0.12  # metres
SMOOTHEST, ROUGHEST = 0.08, 0.35  # roughness of water: of a puddle in rain, and of a wet road
PUDDLE_LEVEL = 0.3  # of noise with a standard deviation of about 1: about a third of the ground is under puddles


def paint_ground(rng: np.random.Generator, length: float, road: float, pavement: float) -> np.ndarray:
    """The ground from above, 8-bit sRGB (across, along, 3) at TEXELS per metre; row 0 is the left edge of the street.

    `length` metres along; `road` is the half width of the road and `pavement` the width of each pavement, in metres.
    """
    shape = (round(2 * (road + pavement) * TEXELS), round(length * TEXELS))
    factor = (
        1.0 + 0.05 * soft_noise(rng, shape, 60) + 0.05 * soft_noise(rng, shape, 8) + 0.06 * rng.standard_normal(shape)
    )
    y, x = np.mgrid[: shape[0], : shape[1]]
    edge = round(pavement * TEXELS)
    on_road = (y >= edge) & (y < shape[0] - edge)
    slab = int(rng.integers(7, 16))
    slabs = 1.0 - 0.2 * ((x % slab == 0) | (y % slab == 0))
    cobbles = rng.random() < 0.2
    tarmac, paving = rng.uniform(62, 96), rng.uniform(120, 165)
    if cobbles:
        paved = 1.0 - 0.3 * ((x % 3 == 0) | ((y + x // 3 % 2) % 3 == 0)) + 0.08 * rng.standard_normal(shape)
        factor = np.where(on_road, factor * paved, factor)
        tarmac += 25
    tint = np.array([1.0, 0.985, 0.96]) if cobbles else np.array([1.0, 1.0, 1.02])
    road_shade = tarmac * tint
    pavement_shade = paving * np.array([1.0, rng.uniform(0.95, 1.0), rng.uniform(0.88, 0.97)])
    base = np.where(on_road[..., None], road_shade, pavement_shade * slabs[..., None])
    image = Image.fromarray(np.clip(base * factor[..., None], 5, 245).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    middle = shape[0] / 2
    for _ in range(int(length / 7)):
        left, top = rng.uniform(0, shape[1]), rng.uniform(edge, shape[0] - edge - 1.5 * TEXELS)
        wide, tall = rng.uniform(1, 6) * TEXELS, rng.uniform(0.5, 1.4) * TEXELS
        grey = int(tarmac * rng.uniform(0.72, 1.12))
        draw.rectangle((left, top, left + wide, top + tall), fill=(grey, grey, grey))
    for _ in range(int(length / 15)):
        left, top, r = rng.uniform(0, shape[1]), middle + rng.uniform(-2, 2) * TEXELS, 0.33 * TEXELS
        draw.ellipse((left - r, top - r, left + r, top + r), fill=(46, 44, 42), outline=(70, 68, 66))
    if not cobbles:
        paint = int(rng.uniform(170, 215))
        if rng.random() < 0.7:
            dash, gap = rng.uniform(1.5, 4.0) * TEXELS, rng.uniform(2.0, 5.0) * TEXELS
            for left in np.arange(0, shape[1], dash + gap):
                draw.rectangle((left, middle - 1, left + dash, middle), fill=(paint, paint, paint))
        if rng.random() < 0.6:
            for row in (edge + 2.0 * TEXELS, shape[0] - edge - 2.0 * TEXELS):
                draw.line((0, row, shape[1], row), fill=(paint, paint, paint), width=1)
                for left in np.arange(0, shape[1], 5.4 * TEXELS):
                    draw.line(
                        (left, row, left, edge if row < middle else shape[0] - edge),
                        fill=(paint, paint, paint),
                        width=1,
                    )
        for _ in range(int(rng.integers(1, 4))):
            left = rng.uniform(0.1, 0.9) * shape[1]
            for row in np.arange(edge + 4, shape[0] - edge - 8, 1.0 * TEXELS):
                draw.rectangle((left, row, left + 3 * TEXELS, row + 0.5 * TEXELS), fill=(paint, paint, paint))
    return np.array(image)


def wet_roughness(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Roughness of the water on the ground from above, (across, along): smooth in puddles, rough on asphalt."""
    level = soft_noise(rng, shape, 40) + 0.35 * soft_noise(rng, shape, 6)
    puddle = 1.0 / (1.0 + np.exp(-6.0 * (level - PUDDLE_LEVEL)))
    return np.asarray(SMOOTHEST + (ROUGHEST - SMOOTHEST) * (1.0 - puddle))


def lay_ground(soup: Soup, start: float, end: float, road: float, pavement: float) -> None:
    """Adds the ground between `start` and `end` metres along the street, with kerbs and the surrounding earth."""
    edge = road + pavement
    bands = [(-edge, -road, KERB), (-road, road, 0.0), (road, edge, KERB)]
    corners, texture = [], []
    for low, high, level in bands:
        corners.append([[start, low, level], [end, low, level], [end, high, level], [start, high, level]])
        top, bottom = (edge - high) / (2 * edge), (edge - low) / (2 * edge)
        texture.append([[0, bottom], [1, bottom], [1, top], [0, top]])
    soup.quads("ground", np.array(corners, float), np.array(texture, float))
    kerbs = [
        [[start, -road, 0], [end, -road, 0], [end, -road, KERB], [start, -road, KERB]],
        [[end, road, 0], [start, road, 0], [start, road, KERB], [end, road, KERB]],
    ]
    soup.quads("paint", np.array(kerbs, float), colour=(0.32, 0.31, 0.29))
    far = 150.0
    earth = [[[start - far, -far, -0.03], [end + far, -far, -0.03], [end + far, far, -0.03], [start - far, far, -0.03]]]
    soup.quads("paint", np.array(earth, float), colour=(0.12, 0.13, 0.09))
