"""Where the sky is: the even region that reaches down from the top of the picture."""

import numpy as np
from PIL import Image

from daco_training.translation.scene.filters import guided_filter, local_maximum, local_minimum

WORKING_SIDE = 72  # pixels of the shorter side: wires and twigs vanish, a picture of any size takes the same time
LEAST_SHARE = 0.01  # of the picture; less is no sky
EDGE_EPSILON = 1e-3  # of the guided filter that fits the region's rim to the picture

DAY_VALUE = 0.42  # the brightest channel of a day sky at least, of 1
DAY_BLUE = 0.78  # its blue channel at least, as a share of the brightest
DAY_RANGE = 0.16  # its contrast within three working pixels at most
DAY_REACH = 0.75  # share of the picture's height that a day sky ends at, at the latest: below is bright ground
NIGHT_VALUE = 0.30  # the brightest channel of a night sky at most
NIGHT_RANGE = 0.012, 0.10  # its contrast at most: noise, and a share of its value
NIGHT_REACH = 0.5  # a night sky ends earlier: below, black is road


def find_sky(image: Image.Image, night: bool) -> np.ndarray:
    """How much of each pixel is sky, (h, w) float32 from 0 to 1.

    A guess by brightness, colour and evenness: a white wall that reaches the top of a day picture is taken for sky.

    Args:
        image: RGB.
        night: looks for a dark sky, not a bright one.
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
    # the contrast window keeps off the rim by a working pixel: take it back, then fit to the picture's own edges
    grown = Image.fromarray(np.uint8(255) * local_maximum(region, 1)).resize(image.size, Image.Resampling.BILINEAR)
    guide = np.asarray(image.convert("L"), dtype=np.float32) / 255.0
    soft = guided_filter(
        guide, np.asarray(grown, dtype=np.float32) / 255.0, max(min(image.size) // 40, 2), EDGE_EPSILON
    )
    # the filter leaves a haze of either side on the other: stretch it off
    return np.clip((soft - 0.2) / 0.6, 0.0, 1.0).astype(np.float32)


def _reached_from_top(candidate: np.ndarray) -> np.ndarray:
    """The candidates (h, w) bool that are connected with a candidate in the top row, uint8 0 or 1."""
    reached = np.zeros(candidate.shape, dtype=np.uint8)
    reached[0] = candidate[0]
    count = -1
    while count != (count := int(reached.sum())):
        for _ in range(8):  # a few steps between two counts
            reached = local_maximum(reached, 1) * candidate
    return reached
