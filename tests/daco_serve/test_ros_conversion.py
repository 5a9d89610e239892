"""The ROS 2 example: poses in the axes of REP 103, with a covariance that corresponds to the radius."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from daco_serve.http.track_schemas import TrackLocation, TrackState

FILE = Path(__file__).parents[2] / "deploy/ros2/pose_conversion.py"


@pytest.fixture(scope="module")
def conversion() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pose_conversion", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pose_conversion"] = module
    spec.loader.exec_module(module)
    return module


def state(heading: float | None = 90.0, status: str = "tracking", located: bool = True) -> TrackState:
    location = TrackLocation(latitude=35.001, longitude=139.002, heading=heading, uncertainty_metres=12.0)
    return TrackState(
        status=status,  # type: ignore[arg-type]
        probability=0.9,
        not_on_map=0.0,
        place="a",
        id=1,
        location=location if located else None,
    )


@pytest.mark.parametrize(("heading", "yaw"), [(90.0, 0.0), (0.0, 90.0), (270.0, 180.0), (180.0, -90.0)])
def test_east_is_x_north_is_y_and_yaw_turns_the_other_way(conversion: ModuleType, heading: float, yaw: float) -> None:
    pose = conversion.pose_of(state(heading), (35.0, 139.0))
    assert pose.x == pytest.approx(0.002 * 111_195 * math.cos(math.radians(35)), rel=1e-3)
    assert pose.y == pytest.approx(111.195, rel=1e-3)
    x, y, z, w = pose.orientation
    assert (x, y) == (0, 0)
    turned = math.degrees(2 * math.atan2(z, w))
    assert (turned - yaw + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


def test_the_covariance_contains_the_truth_as_often_as_the_radius(conversion: ModuleType) -> None:
    covariance = np.array(conversion.pose_of(state(), (35.0, 139.0)).covariance).reshape(6, 6)
    drawn = np.random.default_rng(0).multivariate_normal([0, 0], covariance[:2, :2], 20_000)
    assert (np.hypot(*drawn.T) <= 12.0).mean() == pytest.approx(0.68, abs=0.01)


def test_an_unknown_heading_has_a_large_covariance_and_an_unknown_position_gives_no_pose(
    conversion: ModuleType,
) -> None:
    assert conversion.pose_of(state(None), (35.0, 139.0)).covariance[35] > 9
    assert conversion.pose_of(state(status="lost"), None) is None
    assert conversion.pose_of(state(status="not_on_map"), None) is None
    assert conversion.pose_of(state(located=False), None) is None


def test_without_an_anchor_poses_are_degrees(conversion: ModuleType) -> None:
    pose = conversion.pose_of(state(), None)
    assert (pose.x, pose.y) == (139.002, 35.001)
