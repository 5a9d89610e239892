"""Mean and standard deviation of a data set's colours, for normalising images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageStat

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_core.threads import in_threads

Channels = tuple[float, float, float]
"""Values for red, green and blue, from 0 (black) to 1 (white)."""

FloatArray = npt.NDArray[np.float64]

# the values in the published code, by the data set's name
PUBLISHED: dict[str, tuple[Channels, Channels]] = {
    "tokyo": ((0.334, 0.332, 0.320), (0.241, 0.237, 0.242)),
    "cityscapes": ((0.401, 0.437, 0.401), (0.186, 0.187, 0.187)),
    "synthia": ((0.244, 0.221, 0.177), (0.192, 0.174, 0.144)),
}


def normaliser(dataset: DataSet) -> tuple[Channels, Channels]:
    """Mean and standard deviation for normalising the images of this data set.

    Those of the published code if the data set has a published name, else those of its training photographs.

    Raises:
        DacoError: there are no training photographs, or one cannot be read.
    """
    return PUBLISHED.get(dataset.name) or measure(dataset.training_images())


def measure(images: Sequence[Path]) -> tuple[Channels, Channels]:
    """Mean over all images of each image's per-channel mean, and of its per-channel standard deviation.

    This is the published definition: all images have equal weight, and differences between images do not increase the
    standard deviation. Rounded to 4 decimals; only the images being decoded are in memory.

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
