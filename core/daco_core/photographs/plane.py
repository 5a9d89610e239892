"""The tangent plane of the earth at a point: metres east and north of it, and means of directions."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.locations import EARTH_RADIUS_METRES

DEGREE_METRES = math.radians(EARTH_RADIUS_METRES)  # metres in a degree of latitude
LEAST_AGREEMENT = 0.5  # if the mean of unit vectors is shorter than this, the headings contradict each other

Number = TypeVar("Number", float, NDArray[np.float64])
Origin = tuple[float, float]  # latitude and longitude in degrees


def metres_from(origin: Origin, latitude: Number, longitude: Number) -> tuple[Number, Number]:
    """Metres east and north of the origin, for a point in degrees or for arrays; also across the 180th meridian."""
    turn = (longitude - origin[1] + 180) % 360 - 180
    return turn * math.cos(math.radians(origin[0])) * DEGREE_METRES, (latitude - origin[0]) * DEGREE_METRES


def degrees_from(origin: Origin, east: float, north: float) -> tuple[float, float]:
    """Latitude and longitude of a point so many metres east and north of the origin; the inverse of `metres_from`."""
    length = DEGREE_METRES * max(math.cos(math.radians(origin[0])), 1e-9)  # at a pole, east is not defined
    return origin[0] + north / DEGREE_METRES, (origin[1] + east / length + 180) % 360 - 180


def mean_heading(headings: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    """The weighted circular mean in degrees; None if no heading is known, or if they contradict each other.

    Args:
        headings: (n,), degrees; NaN if unknown.
        weights: (n,).
    """
    known = ~np.isnan(headings)
    if not known.any():
        return None
    mean = (weights[known] * np.exp(1j * np.radians(headings[known]))).sum() / weights[known].sum()
    return round(float(np.degrees(np.angle(mean))) % 360, 1) if abs(mean) >= LEAST_AGREEMENT else None
