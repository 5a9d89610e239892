"""The camera of each photograph of the city: its pose in `poses.json`, its depth map, and points computed from both."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file, write_text
from daco_training.city.plan import Pose, Street, rotation, street_position

POSES_FILE = "poses.json"
DEPTH_FOLDER = "depth"
HORIZONTAL_VIEW = 68.0  # degrees
SEEN = 0.05  # of a distance: tolerance of depth within which a point is visible in another photograph
GRAZING = 0.15  # metres: the least such tolerance

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CameraPose:
    """A camera pose in the frame of the city: metres east, north and up; degrees.

    `heading` is clockwise from north, `pitch` upwards, `roll` counter-clockwise as seen from behind the camera.
    """

    east: float
    north: float
    up: float
    heading: float
    pitch: float
    roll: float

    @classmethod
    def in_street(cls, street: Street, pose: Pose) -> "CameraPose":
        """Converts a pose in a street's own frame to the frame of the city."""
        east, north = street_position(street, pose)
        return cls(east, north, pose.z, (street.bearing - pose.yaw) % 360.0, pose.pitch, pose.roll)

    def rotation(self) -> Floats:
        """Columns right, up, forward, as east, north and up; shape (3, 3)."""
        return rotation(90.0 - self.heading, self.pitch, self.roll)


def write_poses(folder: Path, poses: Mapping[str, CameraPose]) -> None:
    """Writes `poses.json` into a folder of photographs. Raises OSError."""
    rounded = {
        name: {key: round(value, 6) for key, value in asdict(pose).items()} for name, pose in sorted(poses.items())
    }
    write_text(folder / POSES_FILE, json.dumps({"horizontal_view": HORIZONTAL_VIEW, "poses": rounded}, indent=1) + "\n")


def read_poses(folder: Path) -> dict[str, CameraPose]:
    """File name to pose, from the `poses.json` in a folder of photographs.

    Raises:
        DacoError: the file is missing or damaged.
    """
    file = folder / POSES_FILE
    try:
        found = json.loads(file.read_text())["poses"]
        return {name: CameraPose(**{key: float(value) for key, value in pose.items()}) for name, pose in found.items()}
    except OSError as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}; daco-data demo writes it.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DacoError(f"{file} is damaged: run the command that rendered the city again.") from error


def depth_file(city: Path, photograph: Path) -> Path:
    """The path of a photograph's depth map: the same path below `depth`."""
    return (city / DEPTH_FOLDER / photograph.relative_to(city)).with_suffix(".npz")


def write_depth(file: Path, metres: NDArray[np.floating]) -> None:
    """Writes a depth map. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as fresh, fresh.open("wb") as stream:
        np.savez_compressed(stream, metres=metres.astype(np.float16))


def read_depth(file: Path) -> Floats:
    """Metres along the ray of each pixel, (height, width); 0 where the pixel shows mostly sky.

    Raises:
        DacoError: the file cannot be read.
    """
    try:
        with np.load(file) as arrays:
            return np.asarray(arrays["metres"], np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise DacoError(f"{file} is not a depth map; daco-data demo --depth writes them.") from error


def points_seen(pose: CameraPose, depth: Floats) -> Floats:
    """The point that each pixel shows, (height, width, 3) in metres east, north and up; NaN for the sky."""
    height, width = depth.shape
    half = np.tan(np.radians(HORIZONTAL_VIEW / 2))
    across = ((np.arange(width) + 0.5) / width * 2 - 1) * half
    upward = (1 - (np.arange(height) + 0.5) / height * 2) * half * height / width
    rays = np.stack(
        [np.broadcast_to(across, depth.shape), np.broadcast_to(upward[:, None], depth.shape), np.ones(depth.shape)], -1
    )
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    away = np.where(depth > 0, depth, np.nan)[..., None]
    return np.asarray(np.array([pose.east, pose.north, pose.up]) + away * rays @ pose.rotation().T)


def project(pose: CameraPose, points: Floats, width: int, height: int) -> tuple[Floats, Floats]:
    """Projects points (..., 3) into a camera's image.

    Returns:
        Pixels (..., 2), x to the right and y down, in which the first pixel covers 0 to 1; NaN behind the camera or
        outside its picture. And the distances in metres (...).
    """
    relative = points - np.array([pose.east, pose.north, pose.up])
    right, up, forward = np.moveaxis(relative @ pose.rotation(), -1, 0)
    half = np.tan(np.radians(HORIZONTAL_VIEW / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (right / forward / half + 1) / 2 * width
        y = height / 2 - up / forward / half * width / 2
        inside = (forward > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = np.where(inside[..., None], np.stack([x, y], -1), np.nan)
    return pixels, np.asarray(np.linalg.norm(relative, axis=-1))


def correspondences(pose: CameraPose, depth: Floats, other_pose: CameraPose, other_depth: Floats) -> Floats:
    """Where another photograph shows what each pixel of this one shows: (height, width, 2); NaN if it does not.

    A point is visible if the other photograph's depth there equals its distance, so that it is not occluded. Nothing
    moves between two photographs of one domain; between domains, the parked cars differ.
    """
    height, width = other_depth.shape
    pixels, distance = project(other_pose, points_seen(pose, depth), width, height)
    inside = np.isfinite(pixels[..., 0])
    column, row = (np.where(inside, pixels[..., axis], 0).astype(int) for axis in (0, 1))
    there = other_depth[row, column]
    seen = inside & (there > 0) & (np.abs(there - distance) <= np.maximum(SEEN * distance, GRAZING))
    return np.where(seen[..., None], pixels, np.nan)
