"""Ranked matches to one location: the heaviest cluster of them, how far it may be off, and whether it is right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from daco_core.photographs.locations import EARTH_RADIUS_METRES
from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.engine.answers import Estimate, EstimatedLocation, Verdict
from daco_serve.engine.calibration import ActiveCalibration

MATCHES = 10  # how many of the best matches have a say, whatever k a request asks for
CLUSTER_METRES = 25.0  # as far apart as two photographs still count as one place in the field's benchmarks
TEMPERATURE = 0.03  # similarity lost by which a match's say falls to 1/e; at 0.05 neighbours outvote the right place
SCORE_TEMPERATURE = 0.25  # the same of the score, five votes, where candidates were ranked again
FLOOR_METRES = 10.0  # what positions of photographs are usually worth, even where all matches agree
LEAST_AGREEMENT = 0.5  # length of the mean of unit vectors, below which headings contradict each other
LEAST_ON_MAP = 0.5  # probability that the query's place is on the map, below which the answer is that it is not


@dataclass(frozen=True)
class Cluster:
    """Matches that show one place, and how they stand out from the rest.

    Args:
        members: (match, weight), the best first; a match of similarity s weighs exp((s - best) / TEMPERATURE), and one
            of score s, where the best was ranked again, exp((s - best) / SCORE_TEMPERATURE).
        others: the rest of the matches that had a say, likewise.
    """

    members: list[tuple[SearchMatch, float]]
    others: list[tuple[SearchMatch, float]]

    @property
    def evidence(self) -> tuple[float, ...]:
        """What a calibration judges by, as `calibration.EVIDENCE` names it; with `VOTE_EVIDENCE` after a re-ranking."""
        best = self.members[0][0]
        rival = self.others[0][0] if self.others else self.members[-1][0]
        weight = sum(weight for _, weight in self.members)
        total = weight + sum(weight for _, weight in self.others)
        plain = best.similarity, best.similarity - rival.similarity, weight / total, len(self.members) / MATCHES
        if best.votes is None:
            return plain
        votes = math.log1p(best.votes)
        return *plain, votes, votes - math.log1p(rival.votes or 0.0), best.share or 0.0


def localize(
    matches: Sequence[SearchMatch], active: ActiveCalibration | None = None, extent: float | None = None
) -> Estimate:
    """The place that the best matches show, where it is, and how likely that is right.

    The location is the weighted mean of the heaviest cluster. Without a calibration nothing says whether the query's
    place is on the map at all: the verdict is `uncalibrated`, whatever the similarity, and the radius is an estimate:
    the root of FLOOR_METRES^2 plus the weighted mean square distance of all considered matches from the location, so
    that a rival far away with nearly the same similarity makes it large. With a calibration, the radius holds the truth
    in 68 of 100 cases, and the place has a probability of being right.

    Args:
        matches: the best first; those after the first MATCHES are not considered.
        active: what evidence was worth on validation queries; None where nothing is calibrated.
        extent: half the map's diagonal in metres, which the radius of a calibration is in proportion to.
    """
    cluster = find_cluster(matches)
    if cluster is None:
        return Estimate("no_position" if active else "uncalibrated")
    location = _locate(cluster)
    found = Estimate(
        verdict="uncalibrated",
        best=cluster.members[0][0],
        support=len(cluster.members),
        considered=len(cluster.members) + len(cluster.others),
        location=location,
    )
    if active is None or not active.calibration.applies(cluster.evidence):
        return found
    on_map = active.calibration.on_map(cluster.evidence)
    if on_map < LEAST_ON_MAP:
        return Estimate("not_on_map", round(on_map, 3), considered=found.considered)
    right = active.calibration.right(cluster.evidence)
    if location is not None and (radius := active.calibration.radius(right, extent)) is not None:
        location = replace(location, uncertainty_metres=round(radius, 1), calibrated=True)
    verdict: Verdict = "no_position" if location is None else "located"
    return replace(found, verdict=verdict, on_map=round(on_map, 3), probability=round(right, 3), location=location)


def find_cluster(matches: Sequence[SearchMatch]) -> Cluster | None:
    """The heaviest of the clusters of the first MATCHES, each those within CLUSTER_METRES of one of them.

    Of equally heavy ones, the one around the better match. Where no match has a position, matches of one place name
    are a cluster; None where there is no match.
    """
    located = [match for match in matches[:MATCHES] if _position(match.entry) is not None]
    heard = located or list(matches[:MATCHES])
    if not heard:
        return None
    temperature = TEMPERATURE if heard[0].votes is None else SCORE_TEMPERATURE
    weighted = [(match, math.exp((match.score - heard[0].score) / temperature)) for match in heard]

    def around(seed: SearchMatch) -> list[tuple[SearchMatch, float]]:
        return [(match, weight) for match, weight in weighted if _together(seed.entry, match.entry)]

    members = max((around(seed) for seed in heard), key=lambda cluster: round(sum(w for _, w in cluster), 9))
    inside = {match.rank for match, _ in members}
    return Cluster(members, [(match, weight) for match, weight in weighted if match.rank not in inside])


def _together(one: Entry, other: Entry) -> bool:
    origin = _position(one)
    if origin is None:
        return one.place == other.place
    return math.hypot(*_metres(origin, other)) <= CLUSTER_METRES


def _locate(cluster: Cluster) -> EstimatedLocation | None:
    """The cluster's weighted mean and uncalibrated radius; None where it has no positions."""
    origin = _position(cluster.members[0][0].entry)
    if origin is None:
        return None
    points = [(*_metres(origin, match.entry), weight) for match, weight in cluster.members]
    share = sum(weight for _, _, weight in points)
    east = sum(weight * x for x, _, weight in points) / share
    north = sum(weight * y for _, y, weight in points) / share
    everyone = [(*_metres(origin, match.entry), weight) for match, weight in [*cluster.members, *cluster.others]]
    squares = (weight * ((x - east) ** 2 + (y - north) ** 2) for x, y, weight in everyone)
    spread = sum(squares) / sum(weight for _, _, weight in everyone)
    latitude, longitude = _degrees(origin, east, north)
    return EstimatedLocation(
        latitude=round(latitude, 7),  # a centimetre
        longitude=round(longitude, 7),
        heading=_mean_heading([(match.entry.heading, weight) for match, weight in cluster.members]),
        uncertainty_metres=round(math.sqrt(FLOOR_METRES**2 + spread), 1),
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
