"""How a photograph becomes a network's input: resized by Pillow, normalised by NumPy."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.images import MAX_ASPECT

Resize = Literal["shorter", "square"]
Prepared = NDArray[np.float32]
"""A photograph as the input of a network: (3, h, w)."""


class Preparation:
    """Prepares photographs for validation, indexing and queries. Training augments its views differently.

    Args:
        size: in pixels.
        resize: `shorter` scales the shorter side to `size` and keeps the proportions, as published: (3, size, w) or
            (3, h, size). `square` resizes to (3, size, size).
        mean, std: per RGB channel, to normalise values in 0..1.
    """

    def __init__(self, size: int, resize: Resize, mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = size
        self.resize = resize
        self._mean = np.array(mean, np.float32)
        self._std = np.array(std, np.float32)

    def __call__(self, image: Image.Image) -> Prepared:
        """An RGB image as the array (3, h, w), float32.

        Raises:
            DacoError: one side is more than MAX_ASPECT times the other.
        """
        width, height = image.size
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise DacoError(f"The image is too narrow: {width} x {height} pixels.")
        wanted = self._sides(width, height)
        if wanted != image.size:
            image = image.resize(wanted, Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        prepared = np.empty((3, *pixels.shape[:2]), np.float32)
        for channel, values in enumerate(prepared):
            np.multiply(pixels[..., channel], np.float32(1 / 255), out=values)
            values -= self._mean[channel]
            values /= self._std[channel]
        return prepared

    def _sides(self, width: int, height: int) -> tuple[int, int]:
        if self.resize == "square":
            return self.size, self.size
        # rounded down, as torchvision does
        longer = self.size * max(width, height) // min(width, height)
        return (self.size, longer) if width <= height else (longer, self.size)
