"""Distances in metres between places, on the earth or in a local frame.

Two places in the same local frame are compared there, by x and y, and by z if both have it. Others are compared on the
earth, by the great circle. Two floors of one frame are never the same place, however near they are. Places that cannot
be compared are infinitely far apart.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.locations import distance_metres
from daco_core.photographs.plane import metres_from


class Placed(Protocol):
    """Anything with a position: a `PhotoLocation`, a reference, an entry of a catalogue, an estimate."""

    @property
    def latitude(self) -> float | None: ...
    @property
    def longitude(self) -> float | None: ...
    @property
    def x(self) -> float | None: ...
    @property
    def y(self) -> float | None: ...
    @property
    def z(self) -> float | None: ...
    @property
    def floor(self) -> str | None: ...
    @property
    def frame(self) -> str | None: ...


def is_placed(one: Placed) -> bool:
    """Whether its position is known, on the earth or in a local frame."""
    return one.latitude is not None or one.frame is not None


def metres_between(one: Placed, other: Placed) -> float:
    """Metres between two places that are close to each other: on the earth, in the tangent plane at the first."""
    if one.frame == other.frame and one.floor != other.floor and None not in (one.floor, other.floor):
        return math.inf
    if one.frame is not None and one.frame == other.frame:
        assert one.x is not None and one.y is not None and other.x is not None and other.y is not None
        up = 0.0 if one.z is None or other.z is None else other.z - one.z
        return math.hypot(other.x - one.x, other.y - one.y, up)
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return math.inf
    return math.hypot(*metres_from((one.latitude, one.longitude), other.latitude, other.longitude))


class Places:
    """Many places as arrays, to compute the distances between many pairs at once.

    Args:
        located: the places, in any order. Those without a position are infinitely far from all others.
    """

    def __init__(self, located: Sequence[Placed]) -> None:
        self.latitude = _column([one.latitude for one in located])
        self.longitude = _column([one.longitude for one in located])
        self.x = _column([one.x for one in located])
        self.y = _column([one.y for one in located])
        self.z = _column([one.z for one in located])
        self.frames = np.array([one.frame or "" for one in located], dtype=np.str_)
        self.floors = np.array([one.floor or "" for one in located], dtype=np.str_)
        self.is_local = bool((self.frames != "").any())

    def __len__(self) -> int:
        return len(self.latitude)

    def metres_to(self, one: Placed) -> NDArray[np.float64]:
        """Metres from one place to each of these, (n,)."""
        away: NDArray[np.float64] = Places([one]).metres(np.zeros(1, dtype=np.int64), self)[0]
        return away

    def metres(
        self,
        rows: NDArray[np.int64],
        others: "Places | None" = None,
        other_rows: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Metres between some of these and some of `others` (of these again if None): (rows, other rows)."""
        others = others or self
        theirs = np.arange(len(others)) if other_rows is None else other_rows
        away = np.asarray(
            distance_metres(
                self.latitude[rows, None], self.longitude[rows, None], others.latitude[theirs], others.longitude[theirs]
            ),
            dtype=np.float64,
        )
        if self.is_local and others.is_local:
            up = np.nan_to_num(others.z[theirs] - self.z[rows, None], nan=0.0)
            beside = np.hypot(others.x[theirs] - self.x[rows, None], others.y[theirs] - self.y[rows, None])
            same = (self.frames[rows, None] == others.frames[theirs]) & (self.frames[rows, None] != "")
            away = np.where(same, np.hypot(beside, up), away)
        apart = (
            (self.frames[rows, None] == others.frames[theirs])
            & (self.floors[rows, None] != others.floors[theirs])
            & (self.floors[rows, None] != "")
            & (others.floors[theirs] != "")
        )
        return np.where(apart | np.isnan(away), np.inf, away)


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
