"""A track's answer as a pose with covariance, in plain numbers: no ROS is needed here.

ROS has x to the east, y to the north and yaw counter-clockwise from the east (REP 103); daco-serve has latitude,
longitude and a heading clockwise from north.
"""

import math
from dataclasses import dataclass

from daco_core.photographs.plane import metres_from
from daco_serve.http.track_schemas import TrackState

RADIUS_IN_DEVIATIONS = math.sqrt(-2 * math.log(1 - 0.68))  # of a circle that holds 68 % of a normal distribution
HEADING_DEVIATION = math.radians(20)  # of a heading that the references agree on
UNKNOWN = math.pi**2  # variance of an angle of which nothing is known
FLAT = 1e6  # variance of what a track does not say: height, roll and pitch


@dataclass(frozen=True)
class Pose:
    """What `geometry_msgs/PoseWithCovarianceStamped` holds.

    Args:
        x, y: metres east and north of the anchor; longitude and latitude in degrees where there is no anchor.
        orientation: a quaternion, x, y, z, w.
        covariance: (36,), row by row over x, y, z and rotations about them; metres and radians.
    """

    x: float
    y: float
    orientation: tuple[float, float, float, float]
    covariance: tuple[float, ...]


def pose_of(track: TrackState, anchor: tuple[float, float] | None) -> Pose | None:
    """The pose of a track; None while it is lost, off the map, or its map has no positions.

    Args:
        anchor: latitude and longitude of the origin of the frame `map`; None for WGS 84.
    """
    location = track.location
    if track.status != "tracking" or location is None:
        return None
    x, y = location.longitude, location.latitude
    if anchor is not None:
        x, y = metres_from(anchor, location.latitude, location.longitude)
    yaw = 0.0 if location.heading is None else math.radians(90 - location.heading)
    variance = (location.uncertainty_metres / RADIUS_IN_DEVIATIONS) ** 2
    turned = UNKNOWN if location.heading is None else HEADING_DEVIATION**2
    covariance = [0.0] * 36
    for axis, value in enumerate((variance, variance, FLAT, FLAT, FLAT, turned)):
        covariance[7 * axis] = value
    return Pose(x, y, (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)), tuple(covariance))
