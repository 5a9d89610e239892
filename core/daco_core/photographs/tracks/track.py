"""A track: timed positions, and interpolation between them.

Positions are interpolated by time in the tangent plane of the earth at the track's start. Distance and heading follow
the track's *way*: a point belongs to the way only if it lies at least STILL_METRES from the previous one of the way. A
receiver at rest reports points that jump about it; these neither add to the distance nor turn the heading.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import UsageError
from daco_core.photographs.locations import PLACE_METRES, PhotoLocation
from daco_core.photographs.plane import degrees_from, metres_from
from daco_core.photographs.tracks.timed_path import TimedPath, in_order

STILL_METRES = 5.0  # a receiver at rest wanders by a few metres
HEADING_METRES = 5.0  # the heading is taken between points so far behind and so far ahead
SPEED_SECONDS = 1.0  # likewise the speed
GAP_SECONDS = 60.0  # longer gaps are not interpolated, unless the receiver is at the same place after it


@dataclass(frozen=True)
class TrackPoint:
    """One position of a track.

    Args:
        time: seconds since 1970, UTC.
        latitude, longitude: degrees, WGS 84.
        altitude: metres; None if unknown.
    """

    time: float
    latitude: float
    longitude: float
    altitude: float | None = None


@dataclass(frozen=True)
class TrackPosition:
    """The interpolated state of a track at a time.

    Args:
        time: seconds since 1970, UTC.
        latitude, longitude: degrees, WGS 84.
        altitude: metres; None if unknown.
        heading: direction of the way there, degrees clockwise from north; None if the track does not move at all.
        speed: metres per second.
        distance: metres along the way from its start.
    """

    time: float
    latitude: float
    longitude: float
    altitude: float | None
    heading: float | None
    speed: float
    distance: float

    def camera(self, yaw: float) -> PhotoLocation:
        """Where a camera was that looks so many degrees to the right of the direction of travel."""
        heading = None if self.heading is None else (self.heading + yaw) % 360
        return PhotoLocation(self.latitude, self.longitude, heading, altitude=self.altitude)


class Track(TimedPath):
    """Timed positions, sorted by time; of several points with the same time, the first is kept.

    Raises:
        UsageError: there are fewer than two.
    """

    def __init__(self, points: Iterable[TrackPoint]) -> None:
        ordered = in_order(points)
        if len(ordered) < 2:
            raise UsageError("A track needs at least two positions with different times.")
        self._origin = ordered[0].latitude, ordered[0].longitude
        self._east, self._north = metres_from(
            self._origin,
            np.array([point.latitude for point in ordered]),
            np.array([point.longitude for point in ordered]),
        )
        times = np.array([point.time for point in ordered])
        super().__init__(times, np.stack([self._east, self._north], axis=1), GAP_SECONDS, PLACE_METRES)
        self._altitudes = np.array([math.nan if point.altitude is None else point.altitude for point in ordered])
        self._distances, turns = _way(self._east, self._north)
        self._way_distances = self._distances[turns]
        self._way_east, self._way_north = self._east[turns], self._north[turns]

    @property
    def length(self) -> float:
        """Metres along its way."""
        return float(self._distances[-1])

    def at(self, time: float) -> TrackPosition | None:
        """The state at a time; None before the start, after the end and in a gap."""
        if not self.covers(time):
            return None
        columns = (self._east, self._north, self._altitudes, self._distances)
        east, north, altitude, distance = self._between(time, *columns)
        latitude, longitude = degrees_from(self._origin, east, north)
        return TrackPosition(
            time=time,
            latitude=latitude,
            longitude=longitude,
            altitude=None if math.isnan(altitude) else altitude,
            heading=self._heading(distance),
            speed=self._speed(time),
            distance=distance,
        )

    def along(self, distance: float) -> TrackPosition | None:
        """The state when a distance (metres along the way) is first reached; None beyond the length and in a gap."""
        if not 0 <= distance <= self.length:
            return None
        after = int(np.searchsorted(self._distances, distance))
        if after == 0:
            return self.at(self.start)
        before = after - 1
        share = (distance - self._distances[before]) / (self._distances[after] - self._distances[before])
        return self.at(float(self._times[before] + share * (self._times[after] - self._times[before])))

    def _heading(self, distance: float) -> float | None:
        """The direction of the way at a distance; the ends have the direction of the segment next to them."""
        ends = np.clip([distance - HEADING_METRES, distance + HEADING_METRES], 0.0, self.length)
        east, north = (np.interp(ends, self._way_distances, way) for way in (self._way_east, self._way_north))
        east_moved, north_moved = float(east[1] - east[0]), float(north[1] - north[0])
        if math.hypot(east_moved, north_moved) < 1e-6:
            return None
        return math.degrees(math.atan2(east_moved, north_moved)) % 360

    def _speed(self, time: float) -> float:
        ends = np.clip([time - SPEED_SECONDS, time + SPEED_SECONDS], self.start, self.end)
        gone = np.interp(ends, self._times, self._distances)
        return float((gone[1] - gone[0]) / (ends[1] - ends[0]))


def _way(east: NDArray[np.float64], north: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distance of each point along the way, which never decreases; and the indices of the way's own points."""
    distances, turns = np.zeros(len(east)), [0]
    last = 0
    for number in range(1, len(east)):
        moved = math.hypot(east[number] - east[last], north[number] - north[last])
        distances[number] = max(distances[number - 1], distances[last] + moved)
        if moved >= STILL_METRES:
            # movement since the last point of the way that stayed close to it is not counted twice
            distances[number] = distances[last] + moved
            last = number
            turns.append(number)
    if turns[-1] != len(east) - 1:
        turns.append(len(east) - 1)
    return distances, np.array(turns, dtype=np.int64)
