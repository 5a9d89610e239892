"""The pose of a camera, in the form that all readers of reconstructions return."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """The position and orientation of a camera in the frame of a reconstruction.

    Args:
        name: of the photograph, as in the reconstruction.
        centre: (3,), the camera's position.
        forward, up: (3,), unit vectors: the viewing direction, and the direction of the image's upper edge.
    """

    name: str
    centre: Vector
    forward: Vector
    up: Vector


def from_world(name: str, rotation: Vector, translation: Vector) -> Camera:
    """The camera for a pose that transforms world points to camera axes (right, down, forward).

    Args:
        rotation: (3, 3).
        translation: (3,).
    """
    return Camera(name, -rotation.T @ translation, rotation[2], -rotation[1])


def rotation_of(quaternion: Sequence[float]) -> Vector:
    """The rotation matrix of a quaternion (w, x, y, z) of any length but 0.

    Raises:
        ValueError: it is 0, or not of four finite numbers.
    """
    w, x, y, z = quaternion
    length = w * w + x * x + y * y + z * z
    if not 0 < length < np.inf:
        raise ValueError("a quaternion is 0 or not finite")
    s = 2 / length
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )
