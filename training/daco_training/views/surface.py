"""The points of the rendered city that a photograph shows, from its depth map and its camera's pose."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daco_core.photographs.layout import DataSet
from daco_training.city.poses import POSES_FILE, CameraPose, depth_file, points_seen, read_depth, read_poses
from daco_training.methods.dense import NEAR

SAME = 0.5  # metres within which points count as the same spot
KEPT = 4096  # photographs whose surfaces are cached


class Surfaces:
    """The surfaces shown by photographs of a data set that have a camera pose and a depth map."""

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset
        self._poses = lru_cache(maxsize=None)(_poses)
        self._points = lru_cache(maxsize=KEPT)(self._read)

    def known(self, photograph: Path) -> bool:
        """Whether a photograph has a pose and a depth map."""
        return photograph.name in self._poses(photograph.parent) and self._depth(photograph).is_file()

    def spots(self, photograph: Path, points: Tensor) -> Tensor:
        """The spots at points (k, 2) of a photograph, given as fractions: (k, 3), scaled so that SAME metres are NEAR.

        NaN for points that are outside, or show the sky.
        """
        seen = self._points(photograph)
        height, width = seen.shape[:2]
        within = points.nan_to_num(-1.0)
        column, row = (within[:, 0] * width).long(), (within[:, 1] * height).long()
        outside = (within < 0).any(1) | (column >= width) | (row >= height)
        found = seen[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        return found.float().masked_fill(outside[:, None], torch.nan)

    def _read(self, photograph: Path) -> Tensor:
        pose = self._poses(photograph.parent)[photograph.name]
        points = points_seen(pose, read_depth(self._depth(photograph)))
        return torch.from_numpy((points * (NEAR / SAME)).astype(np.float32))

    def _depth(self, photograph: Path) -> Path:
        return depth_file(self._dataset.folder, photograph)


def _poses(folder: Path) -> dict[str, CameraPose]:
    return dict(read_poses(folder)) if (folder / POSES_FILE).is_file() else {}
