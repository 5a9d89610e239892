"""kapture's folders: `sensors/trajectories.txt` and `records_camera.txt` (https://github.com/naver/kapture).

Poses transform world points to a device, which may be a rig; those in `rigs.txt` transform points of a rig to its
sensors.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from daco_core.photographs.reconstructions.camera import Camera, Vector, from_world, rotation_of

TRAJECTORIES, RECORDS, RIGS = "trajectories.txt", "records_camera.txt", "rigs.txt"
NESTED = 8  # the deepest nesting of rigs in rigs that is followed

Pose = tuple[Vector, Vector]  # a rotation, then a translation


def is_kapture(folder: Path) -> bool:
    """Whether a folder is a kapture folder with poses."""
    return all((folder / "sensors" / name).is_file() for name in (TRAJECTORIES, RECORDS))


def read_kapture(folder: Path) -> list[Camera]:
    """The cameras of the images whose poses are known.

    Raises:
        OSError: it cannot be read.
        ValueError: it has another structure.
    """
    sensors = folder / "sensors"
    poses = {
        (time, device): pose
        for time, device, *numbers in _rows(sensors / TRAJECTORIES, 9)
        if (pose := _pose(numbers)) is not None
    }
    rigs: dict[str, list[tuple[str, Pose]]] = {}
    if (sensors / RIGS).is_file():
        for rig, sensor, *numbers in _rows(sensors / RIGS, 9):
            if (pose := _pose(numbers)) is not None:
                rigs.setdefault(sensor, []).append((rig, pose))
    cameras = []
    for time, sensor, name in _rows(sensors / RECORDS, 3):
        pose = _pose_of(time, sensor, poses, rigs)
        if pose is not None:
            cameras.append(from_world(name, *pose))
    return cameras


def _pose_of(
    time: str,
    device: str,
    poses: dict[tuple[str, str], Pose],
    rigs: dict[str, list[tuple[str, Pose]]],
    nested: int = NESTED,
) -> Pose | None:
    if (time, device) in poses:
        return poses[time, device]
    for rig, (rotation, translation) in rigs.get(device, []) if nested else []:
        of_rig = _pose_of(time, rig, poses, rigs, nested - 1)
        if of_rig is not None:
            return rotation @ of_rig[0], rotation @ of_rig[1] + translation
    return None


def _pose(words: list[str]) -> Pose | None:
    """The pose in seven words; None if a part of it is missing, as kapture allows."""
    if not all(words):
        return None
    numbers = [float(word) for word in words]
    return rotation_of(numbers[:4]), np.array(numbers[4:])


def _rows(file: Path, columns: int) -> Iterator[list[str]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            words = [word.strip() for word in line.split(",", columns - 1)]
            if len(words) != columns:
                raise ValueError(f"{file.name}: {line.strip()[:60]!r} does not have {columns} columns")
            yield words
