"""Warps of a photograph by known amounts: what another camera would see of it, cut out of it without borders.

The reference is the middle of a photograph, WINDOW of its width and height. A warp is another window: shifted, zoomed,
rolled about the line of sight, or seen obliquely, as if the photograph were a wall and the camera moved around its
middle. All windows lie within the photograph, so that nothing has to be invented at the edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WINDOW = 0.6
WIDEST = 2.0  # largest ratio of width to height, or the reverse, of the part from which windows are cut
VIEW = 60.0  # degrees: the horizontal field of view that is assumed for oblique views
CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])  # x to the right, y down

AMOUNTS: dict[str, tuple[float, ...]] = {
    "shift": (10, 20, 30),
    "zoom": (0.7, 1.4, 2.0),
    "oblique": (10, 20, 30),
    "roll": (5, 10, 20),
}


@dataclass(frozen=True)
class Warp:
    """A window of a photograph.

    Args:
        kind: `shift` (percent of the window's width), `zoom` (how many times nearer), `oblique` or `roll` (degrees).
        amount: of the change; positive means to the right or clockwise.
    """

    kind: str
    amount: float

    def corners(self, width: int, height: int) -> NDArray[np.float64]:
        """The corners of the window in a photograph, clockwise from the upper left: (4, 2) in pixels, x and y."""
        half = WINDOW / 2 * np.array([min(width, WIDEST * height), min(height, WIDEST * width)])
        corners = CORNERS * half
        if self.kind == "shift":
            corners = corners + [2 * half[0] * self.amount / 100, 0.0]
        elif self.kind == "zoom":
            corners = corners / self.amount
        elif self.kind == "roll":
            angle = math.radians(self.amount)
            turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            corners = corners @ turn
        else:
            corners = _seen_obliquely(corners, half[0] / WINDOW / math.tan(math.radians(VIEW / 2)), self.amount)
        return np.asarray(corners + [width / 2, height / 2])

    def apply(self, photograph: Image.Image) -> Image.Image:
        """The warped view, with as many pixels as the reference's window."""
        width, height = photograph.size
        size = round(WINDOW * min(width, WIDEST * height)), round(WINDOW * min(height, WIDEST * width))
        box = np.array([[0.0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]])
        coefficients = _homography(box, self.corners(width, height))
        return photograph.transform(
            size, Image.Transform.PERSPECTIVE, coefficients.tolist(), resample=Image.Resampling.BICUBIC
        )


REFERENCE = Warp("zoom", 1.0)


def _seen_obliquely(corners: NDArray[np.float64], distance: float, degrees: float) -> NDArray[np.float64]:
    """Where the rays through a window's corners meet its original plane, after an orbit about its middle."""
    angle = math.radians(degrees)
    across, down = corners.T
    reach = distance * math.cos(angle) / (distance * math.cos(angle) + across * math.sin(angle))
    return np.stack(
        [distance * math.sin(angle) + reach * (across * math.cos(angle) - distance * math.sin(angle)), reach * down], 1
    )


def _homography(here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """The eight coefficients for Pillow that map points `here` (4, 2) to `there`."""
    rows = []
    for (x, y), (u, v) in zip(here, there, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.asarray(np.linalg.solve(np.array(rows), there.ravel()))
