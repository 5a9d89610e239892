"""Renders all views of a batch together in compiled code, for a GPU: a few kernels instead of hundreds."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor

from daco_training.devices import send
from daco_training.views.augmentation import JITTER, View, luma, render, turn_hues
from daco_training.views.crops import crop_stacked, stack

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
KINDS = {"brightness": BRIGHTNESS, "contrast": CONTRAST, "saturation": SATURATION, "hue": HUE}
NOTHING = BRIGHTNESS, 1.0  # for a view without a change of colour
TO_GREY = SATURATION, 0.0


def render_together(
    images: Sequence[Tensor], views: Sequence[View], size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Like `augmentation.render`, which is used on a CPU and for views under a simulated condition."""
    device = images[0].device
    if device.type != "cuda" or any(view.condition for view in views):
        return render(images, views, size, mean, std)
    numbers = (
        send([(view.top, view.left, view.height, view.width, view.flip) for view in views], torch.float, device),
        send([turns_of(view) for view in views], torch.float, device),
        send([mean, std], torch.float, device),
    )
    return _compiled()(stack(images), *numbers, size)


def draw_all(photographs: Tensor, boxes: Tensor, turns: Tensor, normaliser: Tensor, size: int) -> Tensor:
    """Crops, changes colours, and normalises.

    Args:
        photographs: (n, 3, h, w) of 8 bits.
        boxes: (n, 5), see `crop_stacked`.
        turns: (n, t, 2), for each operation one of `KINDS` and a factor.
        normaliser: (2, 3) mean and standard deviation, for values in 0..1.

    Returns:
        (n, 3, size, size) in channels_last memory format.
    """
    mean, std = normaliser[:, :, None, None].unbind()
    coloured = take_turns(crop_stacked(photographs, boxes, size) / 255, turns)
    return ((coloured - mean) / std).contiguous(memory_format=torch.channels_last)


def take_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Changes the colours of images (n, 3, h, w) in 0..1, like `augmentation.recolour`; see `draw_all` for `turns`."""
    red, green, blue = images.unbind(1)
    for turn in turns.unbind(1):
        kind, factor = turn[:, :, None, None].unbind(1)
        grey = luma(red, green, blue)
        mean = grey.mean(dim=(-2, -1), keepdim=True)
        other = torch.where(kind == SATURATION, grey, torch.where(kind == CONTRAST, mean, 0.0)) * (1 - factor)
        hues = turn_hues(red, green, blue, factor)
        red, green, blue = (
            torch.where(kind == HUE, hue, (channel * factor + other).clamp(0, 1))
            for channel, hue in zip((red, green, blue), hues, strict=True)
        )
    return torch.stack((red, green, blue), dim=1)


def turns_of(view: View) -> list[tuple[int, float]]:
    """The colour operations of a view: for each, one of `KINDS` and a factor."""
    jitter = [(KINDS[name], factor) for name, factor in view.jitter] or [NOTHING] * len(JITTER)
    return [*jitter, TO_GREY if view.grey else NOTHING]


@cache
def _compiled() -> Callable[..., Tensor]:
    return cast(Callable[..., Tensor], torch.compile(draw_all))
