"""Images to normalised tensors, in the fixed form of validation and retrieval; training's views are in augment.py."""

from collections.abc import Sequence
from typing import Literal

import torch
from torchvision.transforms import v2

Resize = Literal["shorter", "square"]


def evaluation_form(size: int, resize: Resize, mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """An image as validation and retrieval see it.

    `shorter` scales the shorter side to `size` and keeps the shape, as published: (3, size, w) or (3, h, size).
    `square` squeezes to (3, size, size).
    """
    target = size if resize == "shorter" else (size, size)
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return v2.Compose([v2.Resize(target), *to_tensor])
