"""Places a reconstruction's cameras in a local frame: metres, z upwards, headings clockwise from y."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from daco_core.errors import UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.reconstructions.camera import Camera, Vector

Up = Literal["auto", "x", "y", "z", "-x", "-y", "-z"]
AXES = {
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "-x": (-1.0, 0.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "-z": (0.0, 0.0, -1.0),
}
NEAR_AXIS_DEGREES = 20.0  # an axis within this angle of the cameras' mean up vector is taken to be exactly upwards
LEAST_AGREEMENT = 0.5  # the least length of the mean of the cameras' up vectors
LEAST_LEVEL = 0.3  # the least horizontal part of a viewing direction; a steeper camera has no heading


@dataclass(frozen=True)
class Cameras:
    """The cameras of a reconstruction in a local frame.

    Args:
        locations: name of a photograph in the reconstruction to its location; the frame has no name yet.
        up: the axis of the reconstruction that points upwards, in words.
    """

    locations: dict[str, PhotoLocation]
    up: str

    def scaled(self, scale: float) -> "Cameras":
        """The same cameras, scaled by `metres` per unit."""
        return Cameras(
            {
                name: replace(at, x=scale * (at.x or 0.0), y=scale * (at.y or 0.0), z=scale * (at.z or 0.0))
                for name, at in self.locations.items()
            },
            self.up,
        )


def place_cameras(cameras: Sequence[Camera], up: Up = "auto", scale: float = 1.0) -> Cameras:
    """Places the cameras in a frame whose z axis points upwards. If that is so already, the frame is kept.

    Otherwise the frame is rotated by the smallest rotation that takes its upward axis to z. For example, the frame of
    COLMAP's first camera (right, down, forward) becomes right, forward, up.

    Args:
        up: the axis that points upwards; `auto` for the mean of the cameras' up vectors, or an axis close to it.
        scale: metres per unit of the reconstruction.

    Raises:
        UsageError: with `auto`, the cameras' up vectors disagree.
    """
    direction, words = _upwards(cameras) if up == "auto" else (np.array(AXES[up]), up)
    turn = _turn_to_z(direction)
    locations = {}
    for camera in cameras:
        x, y, z = (round(float(value), 6) + 0.0 for value in scale * (turn @ camera.centre))  # -0.0 becomes 0
        locations[camera.name] = PhotoLocation(None, None, _heading(turn @ camera.forward), x=x, y=y, z=z)
    return Cameras(locations, words)


def _upwards(cameras: Sequence[Camera]) -> tuple[Vector, str]:
    mean = np.mean([camera.up for camera in cameras], axis=0)
    length = float(np.linalg.norm(mean))
    if length < LEAST_AGREEMENT:
        raise UsageError(
            "The upward direction cannot be found, because the reconstruction's cameras disagree: name the axis with"
            " --up, for example --up z."
        )
    mean = mean / length
    for name, axis in AXES.items():
        if float(np.dot(mean, axis)) >= math.cos(math.radians(NEAR_AXIS_DEGREES)):
            return np.array(axis), name
    return mean, f"({', '.join(f'{value:.2f}' for value in mean)})"


def _turn_to_z(direction: Vector) -> Vector:
    """The smallest rotation that takes a direction to the z axis, (3, 3); about the x axis if that is not unique."""
    x, y, z = direction
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    # Rodrigues' formula for the axis direction x z
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    turn: Vector = np.eye(3) + cross + cross @ cross / (1 + z)
    return turn


def _heading(forward: Vector) -> float | None:
    """Degrees clockwise from y; None for a camera that looks almost straight up or down."""
    if math.hypot(forward[0], forward[1]) < LEAST_LEVEL:
        return None
    return math.degrees(math.atan2(forward[0], forward[1])) % 360


class CameraNames:
    """Finds photographs by their names in a reconstruction, which are paths relative to a folder that is not known.

    Args:
        locations: by name; names may lack the file's suffix.
    """

    def __init__(self, locations: dict[str, PhotoLocation]) -> None:
        self._locations = {_plain(name): location for name, location in locations.items()}

    def of(self, path: Path) -> PhotoLocation | None:
        """The location of a photograph: that of the longest name that its path ends with."""
        for parts in (path.parts, path.with_suffix("").parts):
            for start in range(len(parts)):
                if (location := self._locations.get("/".join(parts[start:]))) is not None:
                    return location
        return None


def _plain(name: str) -> str:
    return "/".join(part for part in PurePath(name.replace("\\", "/")).parts if part not in (".", "..", "/"))
