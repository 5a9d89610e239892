"""Random views of photographs: drawing their parameters, and rendering them as tensors on any device."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from daco_training.devices import send
from daco_training.views.conditions import Condition, apply_condition, draw_condition
from daco_training.views.crops import crop_together
from daco_training.views.movement import Movement, centres, draw_movement, inside, move, source_points

AREA = (0.2, 1.0)  # the share of a photograph's area that a crop covers
RATIO = (3 / 4, 4 / 3)  # width to height of a crop
PLACE_AREA = (0.5, 1.0)  # the same for a crop that must still show the place
PLACE_RATIO = 0.8, 1.25  # relative to the photograph's own
JITTER = {"brightness": (0.6, 1.4), "contrast": (0.6, 1.4), "saturation": (0.6, 1.4), "hue": (-0.1, 0.1)}
JITTER_PROBABILITY, GREY_PROBABILITY, FLIP_PROBABILITY = 0.8, 0.2, 0.5


@dataclass(frozen=True)
class View:
    """The randomly drawn parameters of one view.

    Args:
        top, left, height, width: the crop, in pixels.
        jitter: operations of `JITTER` with their factors, in order of application; empty for none.
        grey: whether colours are removed, after the jitter.
        flip: whether the view is mirrored.
        condition: the condition that is simulated, after resizing.
        movement: the movement of the camera, which replaces the crop.
    """

    top: int
    left: int
    height: int
    width: int
    jitter: tuple[tuple[str, float], ...]
    grey: bool
    flip: bool
    condition: Condition | None = None
    movement: Movement | None = None


DrawView = Callable[[np.random.Generator, int, int], View]
"""Draws a view of a photograph with this height and width."""


def draw_view(random: np.random.Generator, height: int, width: int) -> View:
    """Draws a view of a photograph of this size, with the probabilities and ranges of the published code.

    They are those of SimCLR (Chen et al., ICML 2020, appendix A) with a jitter of 0.4, 0.4, 0.4, 0.1, a crop of at
    least a fifth of the area, and no blur.
    """
    crop = _draw_crop(random, height, width)
    jitter: tuple[tuple[str, float], ...] = ()
    if random.random() < JITTER_PROBABILITY:
        drawn = [(name, random.uniform(*bounds)) for name, bounds in JITTER.items()]
        jitter = tuple(drawn[position] for position in random.permutation(len(drawn)))
    return View(*crop, jitter, random.random() < GREY_PROBABILITY, random.random() < FLIP_PROBABILITY)


def draw_place_view(random: np.random.Generator, height: int, width: int) -> View:
    """Draws a view that still shows the place: most of the photograph, never mirrored, under a random condition.

    A street and its mirror image are two different places. The published views may be mirrored, and thus teach
    that they are the same.
    """
    area = random.uniform(*PLACE_AREA)
    ratio = math.exp(random.uniform(math.log(PLACE_RATIO[0]), math.log(PLACE_RATIO[1])))
    w = min(round(width * math.sqrt(area * ratio)), width)
    h = min(round(height * math.sqrt(area / ratio)), height)
    top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    return View(top, left, h, w, jitter=(), grey=False, flip=False, condition=draw_condition(random))


def draw_moved_view(random: np.random.Generator, height: int, width: int) -> View:
    """Draws a view of the place from elsewhere: rotated, nearer, shifted; never mirrored, under a random condition."""
    movement = draw_movement(random, height, width)
    condition = draw_condition(random)
    return View(0, 0, height, width, jitter=(), grey=False, flip=False, condition=condition, movement=movement)


def sometimes_moved(share: float) -> DrawView:
    """Draws views of the place, and this share of them with a moved camera."""

    def draw(random: np.random.Generator, height: int, width: int) -> View:
        moved = random.random() < share
        return draw_moved_view(random, height, width) if moved else draw_place_view(random, height, width)

    return draw


def spots(views: Sequence[View], shapes: Sequence[tuple[int, int]], cells: int) -> Tensor:
    """Which spot of its photograph each cell of a view shows.

    Args:
        shapes: height and width of each view's photograph.
        cells: number of cells along a side of a view.

    Returns:
        (n, cells^2, 2): x and y of the cells' middles, row by row, as fractions of the photograph; NaN if it lies
        outside.
    """
    middles = centres(cells)
    points = torch.empty(len(views), cells**2, 2)
    for row, (view, (height, width)) in enumerate(zip(views, shapes, strict=True)):
        if view.movement is None:
            x = 1 - middles[:, 0] if view.flip else middles[:, 0]
            points[row, :, 0] = (view.left + x * view.width) / width
            points[row, :, 1] = (view.top + middles[:, 1] * view.height) / height
    moved = [row for row, view in enumerate(views) if view.movement is not None]
    if moved:
        movements = [movement for view in views if (movement := view.movement) is not None]
        points[moved] = source_points(movements, middles, [shapes[row] for row in moved])
    return points.masked_fill(~inside(points)[..., None], torch.nan)


def _draw_crop(random: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = height * width * random.uniform(*AREA)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(random.integers(height - h + 1)), int(random.integers(width - w + 1)), h, w
    # if no crop fits, as in a very long photograph: its middle
    h, w = min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))
    return (height - h) // 2, (width - w) // 2, h, w


def render(
    images: Sequence[Tensor], views: Sequence[View], size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Renders views as a normalised batch, on the device of the images.

    The pixels of each view depend only on its own image and parameters, not on the rest of the batch.


    Args:
        images: the photograph of each view, (3, h, w) in 0..255.
        size: pixels of a view.
        mean, std: per RGB channel, for values in 0..1.

    Returns:
        (n, 3, size, size) float, in channels_last memory format.
    """
    device = images[0].device
    batch = torch.empty(len(views), 3, size, size, device=device, memory_format=torch.channels_last)
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    # on a CPU one view at a time, which fits in its cache; on a GPU all at once
    step = len(views) if device.type == "cuda" else 1
    for start in range(0, len(views), step):
        part = slice(start, start + step)
        colours = recolour(cut(images[part], views[part], size) / 255, views[part])
        for row, view in enumerate(views[part]):
            if view.condition is not None:
                colours[row] = apply_condition(colours[row], view.condition)
        batch[part] = colours.sub_(shift).div_(scale)
    return batch


Render = Callable[[Sequence[Tensor], Sequence[View], int, Sequence[float], Sequence[float]], Tensor]
"""The signature of `render`."""


def cut(images: Sequence[Tensor], views: Sequence[View], size: int) -> Tensor:
    """The views' crops of photographs, (3, h, w) each to (n, 3, size, size) float in 0..255, mirrored if drawn."""
    moved = [row for row, view in enumerate(views) if view.movement is not None]
    if moved:
        whole = torch.empty(len(views), 3, size, size, device=images[0].device)
        movements = [movement for view in views if (movement := view.movement) is not None]
        whole[moved] = move([images[row] for row in moved], movements, size)
        still = [row for row, view in enumerate(views) if view.movement is None]
        if still:
            whole[still] = cut([images[row] for row in still], [views[row] for row in still], size)
        return whole
    if images[0].device.type == "cuda":
        boxes = [(view.top, view.left, view.height, view.width) for view in views]
        return crop_together(images, boxes, [view.flip for view in views], size)
    return torch.stack([crop_view(image, view, size) for image, view in zip(images, views, strict=True)]).float()


def crop_view(image: Tensor, view: View, size: int) -> Tensor:
    """A view's crop of a photograph, (3, h, w) to (3, size, size) in the photograph's own type, mirrored if drawn."""
    crop: Tensor = tv.resized_crop(image, view.top, view.left, view.height, view.width, [size, size], antialias=True)
    return crop.flip(-1) if view.flip else crop


def recolour(batch: Tensor, views: Sequence[View]) -> Tensor:
    """Applies the drawn jitter and greys to crops (n, 3, h, w) in 0..1, which may be overwritten."""
    groups: list[tuple[Operation, list[int], list[float]]] = []
    for turn in range(len(JITTER)):
        for name, operation in OPERATIONS.items():
            members = [(row, view) for row, view in enumerate(views) if view.jitter and view.jitter[turn][0] == name]
            if members:
                drawn = [view.jitter[turn][1] for _, view in members]
                groups.append((operation, [row for row, _ in members], drawn))
    grey = [row for row, view in enumerate(views) if view.grey]
    if grey:
        groups.append((saturate, grey, [0.0] * len(grey)))
    if not groups:
        return batch
    # all indexes and factors are copied to the device at once, without waiting for it
    ends = list(accumulate(len(rows) for _, rows, _ in groups))[:-1]
    indexes = send([row for _, rows, _ in groups for row in rows], torch.long, batch.device).tensor_split(ends)
    factors = send([factor for *_, drawn in groups for factor in drawn], torch.float, batch.device).tensor_split(ends)
    for (operation, *_), index, factor in zip(groups, indexes, factors, strict=True):
        strength = factor[:, None, None, None]
        if len(index) == len(batch):
            batch = operation(batch, strength)
        else:
            batch[index] = operation(batch[index], strength)
    return batch


def grey_of(images: Tensor) -> Tensor:
    """Luma: (n, 3, h, w) to (n, 1, h, w)."""
    return luma(*images.unbind(1)).unsqueeze(1)


def luma(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Luma by ITU-R BT.601, of channels with the same shape."""
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def brighten(images: Tensor, factors: Tensor) -> Tensor:
    """Scales all values: images (n, 3, h, w) in 0..1, factors (n, 1, 1, 1)."""
    return (images * factors).clamp_(0, 1)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Scales the distance to the image's mean luma: images (n, 3, h, w) in 0..1, factors (n, 1, 1, 1)."""
    mean = grey_of(images).mean(dim=(-2, -1), keepdim=True)
    return (images * factors).add_(mean * (1 - factors)).clamp_(0, 1)


def saturate(images: Tensor, factors: Tensor) -> Tensor:
    """Scales the distance to each pixel's luma: images (n, 3, h, w) in 0..1, factors (n, 1, 1, 1)."""
    return (images * factors).add_(grey_of(images) * (1 - factors)).clamp_(0, 1)


def shift_hue(images: Tensor, factors: Tensor) -> Tensor:
    """Rotates the hue: images (n, 3, h, w) in 0..1, factors (n, 1, 1, 1) in full turns."""
    red, green, blue = images.unbind(1)
    return torch.stack(turn_hues(red, green, blue, factors[:, 0]), dim=1)


def turn_hues(red: Tensor, green: Tensor, blue: Tensor, factors: Tensor) -> list[Tensor]:
    """Rotates the hue of HSV and keeps value and saturation: channels (n, h, w) in 0..1, factors (n, 1, 1) in turns.

    Source: for the conversion back, channel = value - chroma * clip(min(k, 4 - k), 0, 1), k = (n + 6 hue) mod 6, with n
    5 for red, 3 for green, 1 for blue; Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978, in closed form.
    """
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=1e-12)
    to_blue = torch.where(value == green, (blue - red).div_(divisor).add_(2), (red - green).div_(divisor).add_(4))
    sixths = torch.where(value == red, (green - blue).div_(divisor), to_blue)
    sixths = sixths.add_(6 * factors)
    turned = []
    for offset in (5, 3, 1):
        k = (sixths + offset).remainder_(6)
        turned.append(value - torch.minimum(k, 4 - k).clamp_(0, 1).mul_(chroma))
    return turned


Operation = Callable[[Tensor, Tensor], Tensor]

OPERATIONS: dict[str, Operation] = {
    "brightness": brighten,
    "contrast": contrast,
    "saturation": saturate,
    "hue": shift_hue,
}
