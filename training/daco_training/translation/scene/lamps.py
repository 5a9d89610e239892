"""Finds what would emit light at night in a photograph taken by day: windows, signals, small bright objects."""

import numpy as np
from PIL import Image

from daco_training.translation.scene.filters import gaussian_blur, local_maximum, local_minimum, resize

WORKING_SIDE = 256  # largest shorter side, in pixels, of the image in which lamps are searched
LARGEST = 7  # working pixels: half the side of the largest window or lamp
LEAST_AREA = 4  # working pixels
RIM = 4  # working pixels around the sky without lights: dark objects in front of the sky are not windows
WINDOW_DEPTH = 0.10  # how much darker than the surrounding wall a window is, of 1
WINDOW_REGION = 0.55  # of the height: below this are only windows of cars
WINDOW_FILL = 0.6  # of its bounding box that a window fills; foliage and shadows fill less
WINDOW_SHARE = 0.15, 0.5  # share of the windows that are lit
WINDOW_LIGHT = 0.15, 1.0  # radiance of a lit window, for a sensor that saturates at 1
WINDOW_COLOURS = np.array([[1.0, 0.72, 0.38], [1.0, 0.85, 0.6], [0.95, 1.0, 1.0]], dtype=np.float32)
SIGNAL_COLOUR = 0.3  # saturation times value of red, green or amber lamps, above that of their surroundings
BRIGHT_STEP = 0.2  # how much brighter than its surroundings a small white lamp is
LAMP_LIGHT = 5.0  # radiance of the brightest lamps


def shine(image: Image.Image, sky: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The radiance that lamps emit, (h, w, 3) float32.

    Args:
        image: RGB, by day.
        sky: (h, w), 1 where there can be no lamps.
    """
    scale = min(WORKING_SIDE / min(image.size), 1.0)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    small = image if scale == 1.0 else image.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32) / 255.0
    allowed = local_maximum(resize(sky, *size, Image.Resampling.BOX), RIM) < 0.1
    emission = _windows(pixels, allowed, random) + _lamps(pixels, allowed, random)
    return resize(emission, *image.size, Image.Resampling.BILINEAR)


def _windows(pixels: np.ndarray, allowed: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Small dark rectangles in brighter walls, some of which are lit, each with its own colour."""
    grey = pixels.mean(axis=2)
    # a morphological closing fills what is darker and narrower than its window
    depth = local_minimum(local_maximum(grey, LARGEST), LARGEST) - grey
    mask = (depth > WINDOW_DEPTH) & allowed
    mask[int(WINDOW_REGION * len(mask)) :] = False
    emission = np.zeros_like(pixels)
    share = random.uniform(*WINDOW_SHARE)
    for top, bottom, left, right, area in _regions(mask):
        height, width = bottom - top, right - left
        if min(height, width) < 3 or width > 3 * height or height > 4 * width or area < WINDOW_FILL * height * width:
            continue
        if random.random() < share:
            light = np.exp(random.uniform(*np.log(WINDOW_LIGHT)))
            emission[top:bottom, left:right] = light * WINDOW_COLOURS[random.integers(len(WINDOW_COLOURS))]
    # curtains and bars: the daytime content of the window
    lit: np.ndarray = emission * (0.4 + 0.6 * np.clip(2.0 * depth, 0.0, 1.0))[..., None]
    return lit


def _lamps(pixels: np.ndarray, allowed: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Signals, head lamps and signs: small, and much brighter or more colourful than their surroundings."""
    value = pixels.max(axis=2)
    # blue and violet objects are clothes and cars
    signal = np.where(pixels[..., 2] < value, (value - pixels.min(axis=2)) * value, 0.0)
    signal = np.clip((signal - gaussian_blur(signal, LARGEST) - SIGNAL_COLOUR) / 0.2, 0.0, 1.0)
    white = np.clip((value - gaussian_blur(value, LARGEST) - BRIGHT_STEP) / 0.3, 0.0, 1.0) * (value > 0.8)
    strength = np.maximum(signal, white) * allowed
    emission = np.zeros_like(pixels)
    for top, bottom, left, right, _ in _regions(strength > 0.1):
        height, width = bottom - top, right - left
        # long objects are lane markings, kerbs and roof edges, which emit no light
        if max(height, width) <= LARGEST and max(height, width) <= 2.5 * min(height, width):
            part = (slice(top, bottom), slice(left, right))
            emission[part] = LAMP_LIGHT * random.uniform(0.3, 1.0) * strength[part][..., None] * pixels[part] ** 2
    return emission


def _regions(mask: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """The connected regions of a mask (h, w), except specks: top, bottom, left, right (exclusive ends) and area.

    Regions much larger than LARGEST are split.
    """
    label = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), 0)
    for _ in range(2 * LARGEST):
        label = local_maximum(label, 1) * mask
    rows, columns = np.nonzero(mask)
    _, member, area = np.unique(label[rows, columns], return_inverse=True, return_counts=True)
    low = np.full((len(area), 2), max(mask.shape))
    high = np.zeros((len(area), 2), dtype=np.int64)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(low[:, axis], member, places)
        np.maximum.at(high[:, axis], member, places + 1)
    boxes = np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1], area])
    return [tuple(box) for box in boxes[area >= LEAST_AREA].tolist()]
