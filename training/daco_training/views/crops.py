"""Crops of many photographs at once: two products of matrices, which is what a GPU does best."""

from collections.abc import Sequence

import torch
from torch import Tensor

from daco_training.devices import send

# half a value is rounded up, whatever the order of the sums has made of it: how many are cropped must not matter
TIE = 2**-12


def crop_together(
    images: Sequence[Tensor], boxes: Sequence[tuple[int, int, int, int]], turned: Sequence[bool], size: int
) -> Tensor:
    """Parts of photographs scaled to one size, by bilinear interpolation with antialiasing, rounded to whole values.

    What `torchvision.transforms.v2.functional.resized_crop` makes of one image after the other, but for the rounding of
    a value that lies between two.

    Args:
        images: (3, h, w) each, in 0..255, on one device.
        boxes: top, left, height and width of each part, in pixels.
        turned: whether left and right change places.
        size: pixels of the results' sides.

    Returns:
        (n, 3, size, size) of PyTorch's default dtype, in 0..255.
    """
    numbers = [(*box, flip) for box, flip in zip(boxes, turned, strict=True)]
    return crop_stacked(stack(images), send(numbers, torch.get_default_dtype(), images[0].device), size)


def crop_stacked(photographs: Tensor, boxes: Tensor, size: int) -> Tensor:
    """As `crop_together`, of photographs (n, 3, h, w) by boxes (n, 5): top, left, height, width, 1 if turned or 0."""
    top, left, height, width, turned = boxes.unbind(1)
    down = _weights(top, height, torch.zeros_like(turned), photographs.shape[2], size)
    across = _weights(left, width, turned, photographs.shape[3], size)
    narrow = (photographs.to(across.dtype).flatten(1, 2) @ across.mT).view(*photographs.shape[:3], size)
    return (down[:, None] @ narrow).add_(0.5 + TIE).floor_().clamp_(0, 255)


def stack(images: Sequence[Tensor]) -> Tensor:
    """(n, 3, h, w); images that are smaller than the largest are filled up with nothing."""
    shapes = {image.shape for image in images}
    if len(shapes) == 1:
        return torch.stack(tuple(images))
    height, width = (max(shape[side] for shape in shapes) for side in (1, 2))
    stacked = images[0].new_zeros(len(images), 3, height, width)
    for place, image in zip(stacked, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return stacked


def _weights(start: Tensor, length: Tensor, turned: Tensor, side: int, size: int) -> Tensor:
    """How much of each pixel of a side is in each pixel of the result: (n,) each to (n, size, side), rows adding to 1.

    Source: the triangle filter of PyTorch's and Pillow's antialiased bilinear interpolation; it is as wide as a pixel
    of the result, but no narrower than one of the photograph.
    """
    start, length, turned = (values[:, None, None] for values in (start, length, turned))
    order = torch.arange(size, device=start.device, dtype=start.dtype)[:, None]
    scale = length / size
    centre = start + (torch.where(turned > 0, size - 1 - order, order) + 0.5) * scale
    position = torch.arange(side, device=start.device, dtype=start.dtype) + 0.5
    weights = (1 - (position - centre).abs_() / scale.clamp(min=1)).clamp_(min=0)
    weights *= (position > start) & (position < start + length)
    return weights.div_(weights.sum(-1, keepdim=True))
