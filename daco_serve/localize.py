"""Ranked matches to one location, and how far it may be off."""

import math
from collections.abc import Sequence

from daco_serve.schemas import Location
from index.bundle import Match
from index.catalog import Entry
from training.datasets.locations import EARTH_RADIUS_METRES

MATCHES = 10  # how many of the best matches have a say, whatever k a request asks for
CLUSTER_METRES = 25.0  # as far apart as two photographs still count as one place in the field's benchmarks
TEMPERATURE = 0.05  # similarity lost by which a match's say falls to 1/e
FLOOR_METRES = 10.0  # what positions of photographs are usually worth, even where all matches agree
LEAST_AGREEMENT = 0.5  # length of the mean of unit vectors, below which headings contradict each other


def localize(matches: Sequence[Match]) -> Location | None:
    """The weighted mean of the matches within CLUSTER_METRES of the best one; None if none has a position.

    A match of similarity s weighs exp((s - best) / TEMPERATURE). The radius is an estimate, not yet calibrated: the
    root of FLOOR_METRES^2 plus the weighted mean square distance of all MATCHES from the location, so that a rival
    far away with nearly the same similarity makes it large.

    Args:
        matches: the most similar first; those after the first MATCHES are not looked at.
    """
    located = [match for match in matches[:MATCHES] if _position(match.entry) is not None]
    if not located:
        return None
    best = located[0]
    origin = _position(best.entry)
    assert origin is not None
    points = [_metres(origin, match.entry) for match in located]
    weights = [math.exp((match.similarity - best.similarity) / TEMPERATURE) for match in located]
    cluster = [row for row, point in enumerate(points) if math.hypot(*point) <= CLUSTER_METRES]
    share = sum(weights[row] for row in cluster)
    east = sum(weights[row] * points[row][0] for row in cluster) / share
    north = sum(weights[row] * points[row][1] for row in cluster) / share
    squares = (weight * ((x - east) ** 2 + (y - north) ** 2) for weight, (x, y) in zip(weights, points, strict=True))
    spread = sum(squares) / sum(weights)
    latitude, longitude = _degrees(origin, east, north)
    return Location(
        latitude=round(latitude, 7),  # a centimetre
        longitude=round(longitude, 7),
        heading=_mean_heading([(located[row].entry.heading, weights[row]) for row in cluster]),
        uncertainty_metres=round(math.sqrt(FLOOR_METRES**2 + spread), 1),
        place=best.entry.place,
        support=len(cluster),
    )


def _position(entry: Entry) -> tuple[float, float] | None:
    if entry.latitude is None or entry.longitude is None:
        return None
    return entry.latitude, entry.longitude


def _metres(origin: tuple[float, float], entry: Entry) -> tuple[float, float]:
    """East and north of the origin, on the plane that touches the earth there; across the 180th meridian too."""
    assert entry.latitude is not None and entry.longitude is not None
    turn = (entry.longitude - origin[1] + 180) % 360 - 180
    east = math.radians(turn) * math.cos(math.radians(origin[0])) * EARTH_RADIUS_METRES
    return east, math.radians(entry.latitude - origin[0]) * EARTH_RADIUS_METRES


def _degrees(origin: tuple[float, float], east: float, north: float) -> tuple[float, float]:
    """The latitude and longitude of a point near the origin; `_metres` backwards."""
    latitude = origin[0] + math.degrees(north / EARTH_RADIUS_METRES)
    radius = EARTH_RADIUS_METRES * max(math.cos(math.radians(origin[0])), 1e-9)  # at a pole east is no direction
    longitude = origin[1] + math.degrees(east / radius)
    return latitude, (longitude + 180) % 360 - 180


def _mean_heading(headings: Sequence[tuple[float | None, float]]) -> float | None:
    """The weighted circular mean; None where there are none, or they contradict each other."""
    known = [(math.radians(heading), weight) for heading, weight in headings if heading is not None]
    if not known:
        return None
    total = sum(weight for _, weight in known)
    east = sum(weight * math.sin(angle) for angle, weight in known) / total
    north = sum(weight * math.cos(angle) for angle, weight in known) / total
    if math.hypot(east, north) < LEAST_AGREEMENT:
        return None
    return round(math.degrees(math.atan2(east, north)) % 360, 1)
