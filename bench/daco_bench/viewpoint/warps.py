"""Views of a photograph by known amounts: what another camera would see of it, cut out of it without a border.

The reference is the middle of a photograph, WINDOW of its width and height. A warp is another window of it: moved
sideways, nearer or farther, turned about the line of sight, or seen obliquely, as if the photograph were a wall and the
camera walked around its middle. All of them lie within the photograph, so nothing has to be made up at the edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WINDOW = 0.6
WIDEST = 2.0  # width to height of the part of a photograph that windows are cut from, at most, and the reverse
VIEW = 60.0  # degrees: the field of view across the photograph that oblique views assume
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
        amount: how much; to the right or clockwise where positive.
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
        """The view: as many pixels as the window of the reference has."""
        width, height = photograph.size
        size = round(WINDOW * min(width, WIDEST * height)), round(WINDOW * min(height, WIDEST * width))
        box = np.array([[0.0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]])
        coefficients = _homography(box, self.corners(width, height))
        return photograph.transform(
            size, Image.Transform.PERSPECTIVE, coefficients.tolist(), resample=Image.Resampling.BICUBIC
        )


REFERENCE = Warp("zoom", 1.0)


def _seen_obliquely(corners: NDArray[np.float64], distance: float, degrees: float) -> NDArray[np.float64]:
    """Where the rays through a window's corners meet the plane that it lay in, after an orbit about its middle."""
    angle = math.radians(degrees)
    across, down = corners.T
    reach = distance * math.cos(angle) / (distance * math.cos(angle) + across * math.sin(angle))
    return np.stack(
        [distance * math.sin(angle) + reach * (across * math.cos(angle) - distance * math.sin(angle)), reach * down], 1
    )


def _homography(here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """The eight coefficients with which Pillow maps points `here` (4, 2) to `there`."""
    rows = []
    for (x, y), (u, v) in zip(here, there, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.asarray(np.linalg.solve(np.array(rows), there.ravel()))
