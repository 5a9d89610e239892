"""Finds the sky: the uniform region that extends downwards from the top of the image."""

import numpy as np
from PIL import Image

from daco_training.translation.scene.filters import guided_filter, local_maximum, local_minimum

WORKING_SIDE = 72  # pixels of the shorter side: wires and twigs vanish, and the time does not depend on the image
LEAST_SHARE = 0.01  # of the image; smaller regions are not sky
EDGE_EPSILON = 1e-3  # of the guided filter that fits the region's edge to the image

DAY_VALUE = 0.42  # least brightest channel of a day sky, of 1
DAY_BLUE = 0.78  # least blue channel, as a share of the brightest
DAY_RANGE = 0.16  # largest contrast within three working pixels
DAY_REACH = 0.75  # share of the image's height at which a day sky ends at the latest: bright areas below are ground
NIGHT_VALUE = 0.30  # largest brightest channel of a night sky
NIGHT_RANGE = 0.012, 0.10  # its largest contrast: noise, and a share of its value
NIGHT_REACH = 0.5  # the same for a night sky: black areas below are road


def find_sky(image: Image.Image, night: bool) -> np.ndarray:
    """The share of each pixel that is sky, (h, w) float32 from 0 to 1.

    An estimate from brightness, colour and uniformity: a white wall at the top of a day image is taken for sky.

    Args:
        image: RGB.
        night: look for a dark sky, instead of a bright one.
    """
    scale = min(WORKING_SIDE / min(image.size), 1.0)
    small = image.resize(
        (max(round(image.width * scale), 8), max(round(image.height * scale), 8)), Image.Resampling.BOX
    )
    pixels = np.asarray(small, dtype=np.float32) / 255.0
    value, grey = pixels.max(axis=2), pixels.mean(axis=2)
    contrast = local_maximum(grey, 1) - local_minimum(grey, 1)
    if night:
        candidate = (value < NIGHT_VALUE) & (contrast < NIGHT_RANGE[0] + NIGHT_RANGE[1] * value)
    else:
        candidate = (value > DAY_VALUE) & (pixels[..., 2] > DAY_BLUE * value) & (contrast < DAY_RANGE)
    candidate[int((NIGHT_REACH if night else DAY_REACH) * len(candidate)) :] = False
    region = _reached_from_top(candidate)
    if region.mean() < LEAST_SHARE:
        return np.zeros((image.height, image.width), dtype=np.float32)
    # the contrast window loses a working pixel at the edge: restore it, then fit to the image's own edges
    grown = Image.fromarray(np.uint8(255) * local_maximum(region, 1)).resize(image.size, Image.Resampling.BILINEAR)
    guide = np.asarray(image.convert("L"), dtype=np.float32) / 255.0
    soft = guided_filter(
        guide, np.asarray(grown, dtype=np.float32) / 255.0, max(min(image.size) // 40, 2), EDGE_EPSILON
    )
    # the filter blurs each side slightly into the other: stretch the contrast to remove that
    return np.clip((soft - 0.2) / 0.6, 0.0, 1.0).astype(np.float32)


def _reached_from_top(candidate: np.ndarray) -> np.ndarray:
    """The candidates (h, w) bool that are connected to a candidate in the top row, uint8 0 or 1."""
    reached = np.zeros(candidate.shape, dtype=np.uint8)
    reached[0] = candidate[0]
    count = -1
    while count != (count := int(reached.sum())):
        for _ in range(8):  # several steps between two checks
            reached = local_maximum(reached, 1) * candidate
    return reached
