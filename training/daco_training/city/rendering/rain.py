"""Rain in front of a camera: streaks of falling drops. Works on arrays, without a renderer."""

import math

import numpy as np
from PIL import Image, ImageDraw

from daco_training.city.rendering.weather import LUMINANCE

OVERSAMPLING = 4  # so that a streak can be thinner than a pixel
STREAKS = 0.02, 0.06  # streaks per pixel of a picture with REFERENCE_HEIGHT
REFERENCE_HEIGHT = 128  # pixels
LENGTH = 0.02, 0.10  # of a streak, as a share of the height: far drops are short, near ones long
WIDTH = 0.006  # of the longest streak, as a share of the height
OPACITY = 0.2, 0.6
TILT = 12.0  # degrees: standard deviation of the wind, one value for each picture
SPREAD = 2.5  # degrees: standard deviation of the streaks within a picture
DROP_LIGHT = 1.8  # a drop gathers light from nearly all directions, so on average it is brighter than its background


def add_rain(radiance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds streaks of rain to a picture of linear radiance (h, w, 3).

    A falling drop shows a wide-angle image of its surroundings, so that a streak's brightness depends on the light
    around it and little on what is behind it (Garg and Nayar, "Vision and Rain", IJCV 75(1), 2007). Here that light is
    the mean of the radiance in a wide neighbourhood.
    """
    height, width, _ = radiance.shape
    mask = _streaks(width, height, rng)[..., None]
    around = _neighbourhood(np.minimum(radiance, 20.0 * float((radiance @ LUMINANCE).mean())))
    return np.asarray(radiance * (1.0 - mask) + DROP_LIGHT * around * mask)


def _streaks(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """The share of each pixel that streaks cover, (h, w), 0 to 1."""
    canvas = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING), np.float32)
    tall = canvas.shape[0]
    count = round(rng.uniform(*STREAKS) * REFERENCE_HEIGHT**2 * width / height)
    wind = rng.normal(0.0, TILT)
    for _ in range(4):  # drops at four distances, the far ones first
        layer = Image.new("L", (canvas.shape[1], tall))
        draw = ImageDraw.Draw(layer)
        for _ in range(count // 4):
            nearness = rng.beta(1.0, 4.0)  # most drops are far away
            length = tall * (LENGTH[0] + (LENGTH[1] - LENGTH[0]) * nearness)
            angle = math.radians(wind + rng.normal(0.0, SPREAD))
            x, y = rng.uniform(-0.1, 1.1) * canvas.shape[1], rng.uniform(-0.1, 1.0) * tall
            opacity = OPACITY[0] + (OPACITY[1] - OPACITY[0]) * rng.random()
            thick = max(1, round(WIDTH * tall * nearness))
            end = (x + length * math.sin(angle), y + length * math.cos(angle))
            draw.line((x, y, *end), fill=round(255 * opacity), width=thick)
        drawn = np.asarray(layer, np.float32) / 255.0
        canvas = canvas + drawn - canvas * drawn
    blocks = canvas.reshape(height, OVERSAMPLING, width, OVERSAMPLING)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _neighbourhood(radiance: np.ndarray) -> np.ndarray:
    """The mean radiance around each pixel, over about a quarter of the picture: (h, w, 3)."""
    height, width, _ = radiance.shape
    rows, columns = 8, 10
    cells = _resized(radiance, columns, rows, Image.Resampling.BOX)
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="edge")
    nine = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return _resized(np.mean(nine, axis=0), width, height, Image.Resampling.BILINEAR)


def _resized(image: np.ndarray, width: int, height: int, how: Image.Resampling) -> np.ndarray:
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(channel.resize((width, height), how)) for channel in channels], axis=-1)
