"""The normaliser of a data set: mean and standard deviation of its colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageStat

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_core.threads import in_threads

Channels = tuple[float, float, float]
"""Red, green and blue, where black is 0 and white is 1."""

FloatArray = npt.NDArray[np.float64]

# the normalisers of the published code, by the data set's name
PUBLISHED: dict[str, tuple[Channels, Channels]] = {
    "tokyo": ((0.334, 0.332, 0.320), (0.241, 0.237, 0.242)),
    "cityscapes": ((0.401, 0.437, 0.401), (0.186, 0.187, 0.187)),
    "synthia": ((0.244, 0.221, 0.177), (0.192, 0.174, 0.144)),
}


def normaliser(dataset: DataSet) -> tuple[Channels, Channels]:
    """Mean and standard deviation that images of this data set are normalised with.

    The published ones for a data set that bears a published name, else those of its training photographs.

    Raises:
        DacoError: there are no training photographs, or one cannot be read.
    """
    return PUBLISHED.get(dataset.name) or measure(dataset.training_images())


def measure(images: Sequence[Path]) -> tuple[Channels, Channels]:
    """Mean over images of each image's own per-channel mean, and of its own per-channel standard deviation.

    That is the published definition: every image counts alike, and differences between images do not widen the
    standard deviation. Rounded to 4 decimals; no more than the images being decoded are in memory.

    Raises:
        UnreadableImage: a file is not an image.
        ValueError: there are no images.
    """
    if not images:
        raise ValueError("no images to measure")
    total = np.zeros((2, 3))
    for moments in in_threads(_moments, images, "colours"):
        total += moments
    mean, deviation = np.round(total / len(images), 4).tolist()
    return tuple(mean), tuple(deviation)


def _moments(path: Path) -> FloatArray:
    """Mean and standard deviation of each channel over the pixels of one image, (2, 3), in 0..1."""
    image = ImageStat.Stat(open_rgb(path))
    return np.array([image.mean, image.stddev]) / 255
