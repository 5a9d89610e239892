"""Crops many photographs at once by two matrix products, which suits a GPU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from daco_training.devices import send

# halves are rounded up, whatever the order of summation: the result must not depend on the number of crops
TIE = 2**-12


def crop_together(
    images: Sequence[Tensor], boxes: Sequence[tuple[int, int, int, int]], turned: Sequence[bool], size: int
) -> Tensor:
    """Crops parts of photographs and resizes them by bilinear interpolation with antialiasing, rounded to whole values.

    The result equals that of `torchvision.transforms.v2.functional.resized_crop` for each image, except for the
    rounding of values half-way between two integers.

    Args:
        images: (3, h, w) each, in 0..255, on the same device.
        boxes: top, left, height and width of each part, in pixels.
        turned: whether each part is mirrored.
        size: side of the results in pixels.

    Returns:
        (n, 3, size, size) of PyTorch's default dtype, in 0..255.
    """
    numbers = [(*box, flip) for box, flip in zip(boxes, turned, strict=True)]
    return crop_stacked(stack(images), send(numbers, torch.get_default_dtype(), images[0].device), size)


def crop_stacked(photographs: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Like `crop_together`, for photographs (n, 3, h, w) and boxes (n, 5): top, left, height, width, 1 if mirrored."""
    top, left, height, width, turned = boxes.unbind(1)
    down = _weights(top, height, torch.zeros_like(turned), photographs.shape[2], size)
    across = _weights(left, width, turned, photographs.shape[3], size)
    narrow = (photographs.to(across.dtype).flatten(1, 2) @ across.mT).view(*photographs.shape[:3], size)
    return (down[:, None] @ narrow).add_(0.5 + TIE).floor_().clamp_(0, 255)


def stack(images: Sequence[Tensor]) -> Tensor:
    """Stacks images to (n, 3, h, w); images smaller than the largest are padded."""
    shapes = {image.shape for image in images}
    if len(shapes) == 1:
        return torch.stack(tuple(images))
    height, width = (max(shape[side] for shape in shapes) for side in (1, 2))
    stacked = images[0].new_zeros(len(images), 3, height, width)
    for place, image in zip(stacked, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return stacked


def _weights(start: Tensor, length: Tensor, turned: Tensor, side: int, size: int) -> Tensor:
    """The weight of each pixel of a side in each pixel of the result: (n,) each to (n, size, side), rows add to 1.

    Source: the triangle filter of PyTorch's and Pillow's antialiased bilinear interpolation. It is as wide as a pixel
    of the result, but at least as wide as one of the photograph.
    """
    start, length, turned = (values[:, None, None] for values in (start, length, turned))
    order = torch.arange(size, device=start.device, dtype=start.dtype)[:, None]
    scale = length / size
    centre = start + (torch.where(turned > 0, size - 1 - order, order) + 0.5) * scale
    position = torch.arange(side, device=start.device, dtype=start.dtype) + 0.5
    weights = (1 - (position - centre).abs_() / scale.clamp(min=1)).clamp_(min=0)
    weights *= (position > start) & (position < start + length)
    return weights.div_(weights.sum(-1, keepdim=True))
