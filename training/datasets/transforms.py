"""Images to normalised tensors: the random views of training, and the fixed form of validation and retrieval."""

from collections.abc import Sequence
from typing import Literal

import torch
from torchvision.transforms import v2

Resize = Literal["shorter", "square"]


def training_view(size: int, mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """A random view of an image, as the published code draws it, in tensor form (3, size, size)."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.2, 1.0)),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomHorizontalFlip(p=0.5),
            *_to_tensor(mean, std),
        ]
    )


def evaluation_form(size: int, resize: Resize, mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """An image as validation and retrieval see it.

    `shorter` scales the shorter side to `size` and keeps the shape, as published: (3, size, w) or (3, h, size).
    `square` squeezes to (3, size, size).
    """
    target = size if resize == "shorter" else (size, size)
    return v2.Compose([v2.Resize(target), *_to_tensor(mean, std)])


def _to_tensor(mean: Sequence[float], std: Sequence[float]) -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
