"""Timed places and interpolation between them."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class Timed(Protocol):
    """An object with a time."""

    @property
    def time(self) -> float:
        """Seconds since 1970, UTC."""


Point = TypeVar("Point", bound=Timed)


def in_order(points: Iterable[Point]) -> list[Point]:
    """Points sorted by time; of several with the same time, the first is kept."""
    by_time: dict[float, Point] = {}
    for point in points:
        by_time.setdefault(point.time, point)
    return [by_time[time] for time in sorted(by_time)]


class TimedPath:
    """Places at ascending times; between two of them, values are interpolated, except in a gap.

    Args:
        times: (n,) seconds, ascending; at least two.
        places: (n, axes) metres.
        gap_seconds: a longer interval between two times is a gap, ...
        gap_metres: ... unless the two places are at most this far apart, such as those of a receiver that did not move.
    """

    def __init__(
        self, times: NDArray[np.float64], places: NDArray[np.float64], gap_seconds: float, gap_metres: float
    ) -> None:
        self._times = times
        self._places = places
        self._gap_seconds = gap_seconds
        self._gap_metres = gap_metres

    @property
    def start(self) -> float:
        """The time of the first place, seconds since 1970."""
        return float(self._times[0])

    @property
    def end(self) -> float:
        """The time of the last place."""
        return float(self._times[-1])

    def covers(self, time: float) -> bool:
        """Whether the place at a time is known: not before the start, after the end or in a gap."""
        return self.start <= time <= self.end and not self._is_gap(time)

    def _is_gap(self, time: float) -> bool:
        after = int(np.searchsorted(self._times, time))
        if self._times[after] == time or self._times[after] - self._times[after - 1] <= self._gap_seconds:
            return False
        return self._apart(after - 1, after) > self._gap_metres

    def _apart(self, one: int, other: int) -> float:
        """Metres between two places."""
        return float(np.linalg.norm(self._places[other] - self._places[one]))

    def _between(self, time: float, *columns: NDArray[np.float64]) -> tuple[float, ...]:
        """Interpolates columns, each with one value per place, at a time."""
        return tuple(float(np.interp(time, self._times, column)) for column in columns)
