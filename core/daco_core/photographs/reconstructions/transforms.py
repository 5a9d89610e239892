"""`transforms.json`, as programs for NeRF write it (Blender's data set, instant-ngp, nerfstudio).

`frames` have a `file_path` and a `transform_matrix` from camera to world; the camera's axes point right, up and
backwards, as in OpenGL.
"""

import json
from pathlib import Path, PurePosixPath

import numpy as np

from daco_core.photographs.reconstructions.camera import Camera

NAME = "transforms.json"


def is_transforms(path: Path) -> bool:
    """Whether a path is such a file (`transforms.json`, `transforms_train.json`)."""
    return path.is_file() and path.name.startswith("transforms") and path.suffix.lower() == ".json"


def read_transforms(file: Path) -> list[Camera]:
    """The cameras of a file.

    Raises:
        OSError: it cannot be read.
        ValueError, KeyError, TypeError: it has another structure.
    """
    cameras = []
    for frame in json.loads(file.read_text(encoding="utf-8-sig"))["frames"]:
        matrix = np.array(frame["transform_matrix"], dtype=np.float64)
        if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
            raise ValueError(f"the matrix of {frame['file_path']} does not consist of 4 rows and columns of numbers")
        axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
        name = PurePosixPath(str(frame["file_path"]).replace("\\", "/")).as_posix()
        cameras.append(Camera(name, matrix[:3, 3], -axes[:, 2], axes[:, 1]))
    return cameras
