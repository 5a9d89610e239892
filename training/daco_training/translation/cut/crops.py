"""Random crops for a training step, one of each domain; a function of seed and step only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from daco_core.photographs.images import open_rgb

SHORTER_SIDE = 256  # pixels to which larger photographs are scaled before they are cropped or translated


class CropPairs(Dataset[tuple[Tensor, Tensor]]):
    """Item i: a crop of a random source photograph and one of a random target photograph, not of the same place.

    Shape: (3, size, size) each, in -1 to 1. Half of them are mirrored.
    """

    def __init__(self, source: Sequence[Path], target: Sequence[Path], size: int, seed: int) -> None:
        self.source = source
        self.target = target
        self.size = size
        self.seed = seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([self.seed, index])
        return self._crop(self.source, random), self._crop(self.target, random)

    def _crop(self, photographs: Sequence[Path], random: np.random.Generator) -> Tensor:
        image = shrink(open_rgb(photographs[int(random.integers(len(photographs)))]))
        if min(image.size) < self.size:
            image = ImageOps.cover(image, (self.size, self.size), Image.Resampling.BICUBIC)
        left = int(random.integers(image.width - self.size + 1))
        top = int(random.integers(image.height - self.size + 1))
        crop = to_tensor(image.crop((left, top, left + self.size, top + self.size)))
        return crop.flip(2) if random.random() < 0.5 else crop


def shrink(image: Image.Image) -> Image.Image:
    """The image with its shorter side at most SHORTER_SIDE."""
    scale = SHORTER_SIDE / min(image.size)
    if scale >= 1.0:
        return image
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image) -> Tensor:
    """RGB to (3, h, w) in -1 to 1."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    return pixels / 127.5 - 1.0


def to_picture(tensor: Tensor) -> Image.Image:
    """(3, h, w) in -1 to 1 to RGB."""
    codes = ((tensor.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().byte()
    return Image.fromarray(codes.permute(1, 2, 0).cpu().numpy())
