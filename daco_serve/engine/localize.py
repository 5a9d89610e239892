"""Ranked matches to one location: the heaviest cluster of them, how far it may be off, and whether it is right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daco_core.photographs.locations import PLACE_METRES
from daco_core.photographs.plane import Origin, degrees_from, mean_heading, metres_from
from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.engine.answers import Estimate, EstimatedLocation, Verdict
from daco_serve.engine.calibration import ActiveCalibration

MATCHES = 10  # how many of the best matches have a say, whatever k a request asks for
TEMPERATURE = 0.03  # similarity lost by which a match's say falls to 1/e; at 0.05 neighbours outvote the right place
SCORE_TEMPERATURE = 0.25  # the same of the score, five votes, where candidates were ranked again
FLOOR_METRES = 10.0  # what positions of photographs are usually worth, even where all matches agree
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
    """The heaviest of the clusters of the first MATCHES, each those within PLACE_METRES of one of them.

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
    return math.hypot(*_metres(origin, other)) <= PLACE_METRES


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
    latitude, longitude = degrees_from(origin, east, north)
    headings = [math.nan if match.entry.heading is None else match.entry.heading for match, _ in cluster.members]
    weights = np.array([weight for _, weight in cluster.members])
    return EstimatedLocation(
        latitude=round(latitude, 7),  # a centimetre
        longitude=round(longitude, 7),
        heading=mean_heading(np.array(headings), weights),
        uncertainty_metres=round(math.sqrt(FLOOR_METRES**2 + spread), 1),
    )


def _position(entry: Entry) -> Origin | None:
    if entry.latitude is None or entry.longitude is None:
        return None
    return entry.latitude, entry.longitude


def _metres(origin: Origin, entry: Entry) -> tuple[float, float]:
    assert entry.latitude is not None and entry.longitude is not None
    return metres_from(origin, entry.latitude, entry.longitude)
