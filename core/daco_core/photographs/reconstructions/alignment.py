"""Aligns a reconstruction with the earth, by its photographs whose positions are known, for example from GPS.

A similarity of the plane (scale, turn about the vertical, shift) is fitted by Umeyama's method (TPAMI 1991), on the
photographs that agree with it: positions of satellites can be far off between houses. Which ones agree is found by
least median of squares (Rousseeuw, 1984), with similarities through two photographs each as candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.coordinates import EQUATOR_RADIUS_METRES
from daco_core.photographs.frames import SQUARED, Anchor
from daco_core.photographs.locations import PhotoLocation

LEAST_PHOTOGRAPHS = 4
MOST_CANDIDATES = 2000
WIDEST_DEVIATION = 3.0  # a photograph agrees up to this many standard deviations (estimated by the median)
LEAST_METRES = 0.05  # deviations below this always agree
LEAST_SPREAD = 5.0  # the spread of the agreeing photographs is at least this multiple of their deviation

Plane = NDArray[np.complex128]  # points as complex numbers, x + iy or east + i north


@dataclass(frozen=True)
class Alignment:
    """Position, orientation and scale of a reconstruction on the earth.

    Args:
        scale: metres per unit of the reconstruction.
        anchor: of its frame in metres, after scaling.
        agreeing: how many photographs agree with it.
        known: how many have a known position.
        deviation: median distance, in metres, of the agreeing ones from their known positions.
    """

    scale: float
    anchor: Anchor
    agreeing: int
    known: int
    deviation: float


def align(places: Sequence[tuple[PhotoLocation, PhotoLocation]]) -> Alignment | None:
    """Fits the alignment; None if the photographs are too few, or too close together for their deviations.

    Args:
        places: for each photograph, its location in the frame of the reconstruction, in units, with z upwards; and its
            known location, in degrees.
    """
    local = np.array([complex(inner.x or 0.0, inner.y or 0.0) for inner, _ in places])
    latitude = np.array([outer.latitude for _, outer in places], dtype=np.float64)
    longitude = np.array([outer.longitude for _, outer in places], dtype=np.float64)
    if len(places) < LEAST_PHOTOGRAPHS:
        return None
    origin = float(np.median(latitude)), float(np.median(longitude))
    a_degree = _degree_metres(origin[0])
    turned = (longitude - origin[1] + 180) % 360 - 180  # across the 180th meridian, too
    known: Plane = turned * a_degree[1] + 1j * (latitude - origin[0]) * a_degree[0]
    candidate = _least_median(local, known)
    if candidate is None:
        return None
    for _ in range(2):  # the second fit is to those that agree with the first
        deviations = np.abs(_moved(local, candidate) - known)
        # 1.4826: from the median of absolute deviations to a standard deviation; here of two dimensions, about as far
        agrees = deviations <= max(LEAST_METRES, WIDEST_DEVIATION * 1.4826 * float(np.median(deviations)))
        candidate = _umeyama(local[agrees], known[agrees])
    turn, shift = candidate
    deviation = float(np.median(np.abs(_moved(local[agrees], candidate) - known[agrees])))
    spread = float(np.abs(known[agrees] - known[agrees].mean()).max())
    if agrees.sum() < LEAST_PHOTOGRAPHS or spread < LEAST_SPREAD * deviation or abs(turn) == 0:
        return None
    scale = abs(turn)
    heights = [
        outer.altitude - scale * inner.z
        for (inner, outer), one in zip(places, agrees, strict=True)
        if one and outer.altitude is not None and inner.z is not None
    ]
    anchor = Anchor(
        origin[0] + shift.imag / a_degree[0],
        (origin[1] + shift.real / a_degree[1] + 180) % 360 - 180,
        # the y axis, i, becomes the direction of i * turn; headings are clockwise from north
        heading=-math.degrees(math.atan2(turn.imag, turn.real)) % 360,
        altitude=float(np.median(heights)) if heights else None,
    )
    return Alignment(scale, anchor, int(agrees.sum()), len(places), deviation)


def _degree_metres(latitude: float) -> tuple[float, float]:
    """Metres in a degree of latitude and of longitude, on the ellipsoid, as `Anchor` has it."""
    sine, cosine = math.sin(math.radians(latitude)), max(math.cos(math.radians(latitude)), 1e-9)
    across = EQUATOR_RADIUS_METRES / math.sqrt(1 - SQUARED * sine**2)
    along = across * (1 - SQUARED) / (1 - SQUARED * sine**2)
    return math.radians(along), math.radians(across * cosine)


Similarity = tuple[complex, complex]  # a point p goes to turn * p + shift


def _moved(points: Plane, similarity: Similarity) -> Plane:
    turn, shift = similarity
    moved: Plane = turn * points + shift
    return moved


def _umeyama(points: Plane, to: Plane) -> Similarity:
    """The similarity with the least squares; in the plane, Umeyama's solution is one division of complex numbers."""
    mean, to_mean = points.mean(), to.mean()
    centred = points - mean
    size = float(np.vdot(centred, centred).real)
    turn = complex(np.vdot(centred, to - to_mean) / size) if size else 0j
    return turn, complex(to_mean - turn * mean)


def _least_median(points: Plane, to: Plane) -> Similarity | None:
    """Of the similarities through two photographs, the one with the least median deviation; None if all coincide."""
    first, second = np.triu_indices(len(points), k=1) if len(points) < 64 else _pairs(len(points))
    apart = points[second] - points[first]
    usable = np.abs(apart) > 1e-9 * max(1.0, float(np.abs(points).max()))
    first, second, apart = first[usable], second[usable], apart[usable]
    if not len(first):
        return None
    turns = (to[second] - to[first]) / apart
    shifts = to[first] - turns * points[first]
    medians = [np.median(np.abs(turn * points + shift - to)) for turn, shift in zip(turns, shifts, strict=True)]
    best = int(np.argmin(medians))
    return complex(turns[best]), complex(shifts[best])


def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random pairs of photographs, the same in each run."""
    drawn = np.random.default_rng(0).integers(0, count, size=(2, MOST_CANDIDATES))
    return drawn[0], drawn[1]
