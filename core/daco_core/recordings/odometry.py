"""The path of a robot in its own frame, from its odometry."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daco_core.errors import UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.tracks import TimedPath, in_order
from daco_core.recordings.extraction import Waypoint

STILL_METRES = 0.1  # the estimates of a robot at rest wander by less
GAP_SECONDS = 5.0  # longer gaps are not interpolated, unless the robot is at the same place after it
GAP_METRES = 0.5


@dataclass(frozen=True)
class RobotPose:
    """One pose of a robot.

    Args:
        time: seconds.
        x, y, z: metres, z upwards.
        heading: degrees clockwise from the y axis.
    """

    time: float
    x: float
    y: float
    z: float
    heading: float


def heading_of(x: float, y: float, z: float, w: float) -> float:
    """The heading of a robot (x forward, y to its left: REP 103) from its orientation quaternion."""
    east, north = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z)
    return round(math.degrees(math.atan2(east, north)), 9) % 360


class RobotPath(TimedPath):
    """The poses of a robot, sorted by time.

    Args:
        frame: name of the frame of the poses.

    Raises:
        UsageError: there are fewer than two with different times.
    """

    def __init__(self, poses: Sequence[RobotPose], frame: str) -> None:
        ordered = in_order(poses)
        if len(ordered) < 2:
            raise UsageError("The robot's odometry has fewer than two poses with different times.")
        times = np.array([pose.time for pose in ordered])
        places = np.array([(pose.x, pose.y, pose.z) for pose in ordered])
        super().__init__(times, places, GAP_SECONDS, GAP_METRES)
        self._frame = frame
        self._headings = np.unwrap([pose.heading for pose in ordered], period=360)
        self._distances = np.zeros(len(ordered))
        last = 0
        for number in range(1, len(ordered)):
            moved = self._apart(last, number)
            self._distances[number] = self._distances[number - 1]
            if moved >= STILL_METRES:
                self._distances[number] = self._distances[last] + moved
                last = number

    def at(self, time: float, camera_yaw: float = 0.0) -> Waypoint | None:
        """The position at a time; None before the start, after the end and in a gap.

        Args:
            camera_yaw: degrees from the robot's front to the camera's direction, clockwise.
        """
        if not self.covers(time):
            return None
        x, y, z, heading, distance = self._between(time, *self._places.T, self._headings, self._distances)
        location = PhotoLocation(None, None, (heading + camera_yaw) % 360, x=x, y=y, z=z, frame=self._frame)
        return Waypoint(location, distance)
