"""Filters on arrays: box, Gaussian, the edge-aware guided filter, local minimum and maximum, resizing."""

import numpy as np
from PIL import Image

GAUSSIAN_BOXES = 3  # three box filters approximate a Gaussian within 3 %
LEAST_SIGMA = 2.0  # pixels: the least width of a Gaussian on the reduced image for a wide one


def box_filter(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean over windows of (2 radius + 1) squared; at the border, over the part of the window in the image.

    Args:
        values: (h, w) or (h, w, channels).

    Returns:
        The same shape, float32. The time does not depend on the radius (running sums).
    """
    down = _box_rows(values, radius)
    return np.swapaxes(_box_rows(np.swapaxes(down, 0, 1), radius), 0, 1)


def _box_rows(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean over each row and the `radius` rows above and below it."""
    height = len(values)
    radius = min(radius, height - 1)
    # sums[i] is that of the first i - radius rows; beyond either end nothing is added
    sums = np.zeros((height + 2 * radius + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[radius + 1 : radius + 1 + height])
    sums[radius + 1 + height :] = sums[radius + height]
    rows = np.arange(height)
    counts = np.minimum(rows + radius + 1, height) - np.maximum(rows - radius, 0)
    mean = sums[2 * radius + 1 :] - sums[:height]
    mean /= counts.reshape(-1, *[1] * (values.ndim - 1))
    return mean.astype(np.float32)


def gaussian_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of `sigma` pixels, approximated by three box filters (central limit theorem).

    Wide ones are computed on a reduced image, which makes them up to an eighth wider.

    Args:
        values: (h, w) or (h, w, channels) float32.
    """
    height, width = values.shape[:2]
    reduction = min(max(int(sigma / LEAST_SIGMA), 1), max(min(height, width) // 8, 1))
    if reduction > 1:
        small = resize(values, width // reduction, height // reduction, Image.Resampling.BILINEAR)
        return resize(_blur(small, sigma / reduction), width, height, Image.Resampling.BICUBIC)
    return _blur(values, sigma)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    # a box of radius r has variance r (r + 1) / 3; those with the next larger radius approximate sigma squared best
    radius = int((np.sqrt(1.0 + 12.0 * sigma**2 / GAUSSIAN_BOXES) - 1.0) / 2.0)
    variance = GAUSSIAN_BOXES * radius * (radius + 1) / 3.0
    larger = round((sigma**2 - variance) / (2.0 * (radius + 1) / 3.0))
    for number in range(GAUSSIAN_BOXES):
        values = box_filter(values, radius + 1 if number < larger else radius)
    return values


def resize(values: np.ndarray, width: int, height: int, how: Image.Resampling) -> np.ndarray:
    """Resizes floats (h, w) or (h, w, channels) with Pillow's resampling; float32."""
    if values.ndim == 3:
        return np.stack([resize(values[..., c], width, height, how) for c in range(values.shape[2])], axis=2)
    return np.asarray(Image.fromarray(np.ascontiguousarray(values, dtype=np.float32)).resize((width, height), how))


def guided_filter(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Smooths `values` while keeping the edges of `guide` (grey).

    Source: He, Sun and Tang, "Guided Image Filtering", ECCV 2010, equations 5, 6 and 8.

    Args:
        guide: (h, w), 0 to 1.
        values: (h, w).
        epsilon: windows in which the guide's variance is well above this keep their edges.

    Returns:
        (h, w) float32.
    """
    mean_guide, mean_values = box_filter(guide, radius), box_filter(values, radius)
    variance = box_filter(guide * guide, radius) - mean_guide**2
    covariance = box_filter(guide * values, radius) - mean_guide * mean_values
    slope = covariance / (np.maximum(variance, 0.0) + epsilon)
    offset = mean_values - slope * mean_guide
    smooth: np.ndarray = box_filter(slope, radius) * guide + box_filter(offset, radius)
    return smooth


def local_minimum(values: np.ndarray, radius: int) -> np.ndarray:
    """The minimum over square windows, (h, w) to (h, w); windows are truncated at the border."""
    return -local_maximum(-values, radius)


def local_maximum(values: np.ndarray, radius: int) -> np.ndarray:
    """The maximum over square windows, (h, w) to (h, w); windows are truncated at the border."""
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(values, pad, mode="edge")
        length, width, span = values.shape[axis], 2 * radius + 1, 1
        # windows are doubled until the next doubling would be too wide; two overlapping ones then cover the full width
        while 2 * span <= width:
            count = padded.shape[axis] - span
            padded = np.maximum(_part(padded, axis, 0, count), _part(padded, axis, span, count))
            span *= 2
        values = np.maximum(_part(padded, axis, 0, length), _part(padded, axis, width - span, length))
    return values


def _part(values: np.ndarray, axis: int, start: int, count: int) -> np.ndarray:
    return values[start : start + count] if axis == 0 else values[:, start : start + count]
