"""Views with a moved camera: rotated, zoomed, shifted sideways or forwards, in a street modelled as a box.

A photograph has no depth, so the same model is used for all: flat ground, a row of houses on either side, and a far end
(Horry, Anjyo, Arai, "Tour Into the Picture", SIGGRAPH 1997). Rotation and zoom are exact without it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from daco_training.translation.scene.depth import CAMERA_HEIGHT, FOCAL_SHARE, HALF_STREET, STREET_END

YAW, PITCH, ROLL = 25.0, 6.0, 5.0  # degrees, at most
ZOOM = 1.0, 1.9  # so the scale of an object may differ by up to 1.9 between two views
STEP_ASIDE, STEP_AHEAD = 3.0, 6.0  # metres, at most
INSIDE = 0.8  # least share of a view that lies within the photograph
TRIES, SHRINK = 16, 0.8  # the movement is reduced until that holds
LEAST_DEPTH = 0.1  # metres in front of the photograph's camera
FINER = 2  # sampling points along a pixel's side that are averaged


@dataclass(frozen=True)
class Movement:
    """The pose of a view's camera, relative to that of the photograph.

    Args:
        yaw, pitch, roll: degrees: to the right, down, clockwise.
        zoom: the magnification.
        aside, ahead: metres, to the right and forward.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    aside: float = 0.0
    ahead: float = 0.0

    def shrunk(self, share: float) -> "Movement":
        """A copy with everything except the zoom reduced."""
        return Movement(
            share * self.yaw,
            share * self.pitch,
            share * self.roll,
            self.zoom,
            share * self.aside,
            share * self.ahead,
        )


def draw_movement(random: np.random.Generator, height: int, width: int) -> Movement:
    """Draws a movement for which at least the share INSIDE of the view lies within a photograph of this size."""
    movement = Movement(
        yaw=random.uniform(-YAW, YAW),
        pitch=random.uniform(-PITCH, PITCH),
        roll=random.uniform(-ROLL, ROLL),
        zoom=math.exp(random.uniform(math.log(ZOOM[0]), math.log(ZOOM[1]))),
        aside=random.uniform(-STEP_ASIDE, STEP_ASIDE),
        ahead=random.uniform(-STEP_AHEAD, STEP_AHEAD),
    )
    smaller = [movement.shrunk(SHRINK**tries) for tries in range(TRIES)]
    points = source_points(smaller, centres(8), [(height, width)] * TRIES)
    enough = inside(points).float().mean(1) >= INSIDE
    enough[-1] = True
    return smaller[int(enough.int().argmax())]


def centres(cells: int) -> Tensor:
    """The middles of a grid's cells, row by row, as fractions of the view from the top left: (cells^2, 2), x and y."""
    along = (torch.arange(cells) + 0.5) / cells
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def inside(points: Tensor) -> Tensor:
    """Which points (..., 2), as fractions, lie within the photograph: (...)."""
    return ((points >= 0) & (points <= 1)).all(-1)


def source_points(movements: Sequence[Movement], points: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """The positions in photographs of points in their views, both as fractions from the top left.

    Args:
        movements: of n views.
        points: (k, 2), x and y, the same for all views.
        shapes: height and width of each photograph.

    Returns:
        (n, k, 2); NaN where the photograph's camera cannot see what the view's camera sees.
    """
    device, dtype = points.device, torch.float32
    numbers = torch.tensor(
        [
            (*map(math.radians, (move.yaw, move.pitch, move.roll)), move.zoom, move.aside, move.ahead, height, width)
            for move, (height, width) in zip(movements, shapes, strict=True)
        ],
        dtype=dtype,
    ).to(device, non_blocking=True)
    yaw, pitch, roll, zoom, aside, ahead, height, width = numbers[..., None].unbind(1)
    focal = FOCAL_SHARE * torch.maximum(height, width)
    right = (points[:, 0] - 0.5) * width / (focal * zoom)
    down = (points[:, 1] - 0.5) * height / (focal * zoom)
    # roll about the line of sight, then pitch, then yaw
    right, down = right * roll.cos() - down * roll.sin(), right * roll.sin() + down * roll.cos()
    down, forward = down * pitch.cos() + pitch.sin(), pitch.cos() - down * pitch.sin()
    right, forward = right * yaw.cos() + forward * yaw.sin(), forward * yaw.cos() - right * yaw.sin()
    # the nearest of ground, houses and end; a ray from the middle of the street always hits one of them
    far = torch.full_like(right, 1e6)
    ground = torch.where(down > 1e-6, CAMERA_HEIGHT / down.clamp(min=1e-6), far)
    houses = torch.where(right.abs() > 1e-6, (right.sign() * HALF_STREET - aside) / right, far)
    end = torch.where(forward > 1e-6, (STREET_END - ahead) / forward.clamp(min=1e-6), far)
    distance = torch.minimum(torch.minimum(ground, houses), end)
    depth = distance * forward + ahead
    x = 0.5 + focal * (distance * right + aside) / depth / width
    y = 0.5 + focal * distance * down / depth / height
    return torch.stack([x, y], dim=-1).masked_fill((depth < LEAST_DEPTH)[..., None], torch.nan)


def move(images: Sequence[Tensor], movements: Sequence[Movement], size: int) -> Tensor:
    """Renders the views of moved cameras; outside of a photograph, its mirror image is used.

    Args:
        images: the photograph of each view, (3, h, w) in 0..255.

    Returns:
        (n, 3, size, size) float in 0..255.
    """
    fine = centres(FINER * size).to(images[0].device)
    shapes = [(image.shape[-2], image.shape[-1]) for image in images]
    points = torch.nan_to_num(source_points(movements, fine, shapes), 0.5).clamp(-1, 2)
    grids = (2 * points - 1).view(len(images), FINER * size, FINER * size, 2)
    moved = [
        functional.grid_sample(image[None].float(), grid[None], "bilinear", "reflection", align_corners=False)
        for image, grid in zip(images, grids, strict=True)
    ]
    return functional.avg_pool2d(torch.cat(moved), FINER)
