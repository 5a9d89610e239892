"""Estimates a location from ranked matches: the heaviest cluster of them, its uncertainty, and its probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daco_core.photographs.distances import is_placed, metres_between
from daco_core.photographs.locations import PLACE_METRES
from daco_core.photographs.plane import degrees_from, mean_heading, metres_from
from daco_index.reranking import CANDIDATES
from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.engine.answers import Estimate, EstimatedLocation, Verdict
from daco_serve.engine.calibration import ActiveCalibration

MATCHES = 10  # how many of the best matches are considered, whatever k a request asks for
TEMPERATURE = 0.03  # a similarity lower by this has 1/e of the weight; with 0.05 neighbours outvote the right place
SCORE_TEMPERATURE = 0.05  # the same for scores (equal to five votes), if candidates were re-ranked
FLOOR_METRES = 10.0  # the usual error of photographs' positions, even if all matches agree
USUAL_VOTES = 21.0  # the votes that a photograph of another place gets on most maps
USUAL_COUNT = 2  # imaginary candidates with USUAL_VOTES that are added to a query's own, which may be few
LEAST_ON_MAP = 0.5  # if the query's place is on the map with less than this probability, the verdict is not_on_map


@dataclass(frozen=True)
class Cluster:
    """Matches that show one place, and the other matches.

    Args:
        members: (match, weight), the best first; a match of similarity s weighs exp((s - best) / TEMPERATURE), and one
            of score s, where the best was ranked again, exp((s - best) / SCORE_TEMPERATURE).
        others: the other matches that were considered, likewise.
        elsewhere: the votes of all compared candidates that show another place than the best member.
    """

    members: list[tuple[SearchMatch, float]]
    others: list[tuple[SearchMatch, float]]
    elsewhere: list[float]

    @property
    def evidence(self) -> tuple[float, ...]:
        """The evidence for a calibration, in the order of `EVIDENCE`; with `VOTE_EVIDENCE` after re-ranking."""
        best = self.members[0][0]
        rival = self.others[0][0] if self.others else self.members[-1][0]
        weight = sum(weight for _, weight in self.members)
        total = weight + sum(weight for _, weight in self.others)
        plain = best.similarity, best.similarity - rival.similarity, weight / total, len(self.members) / MATCHES
        if best.votes is None:
            return plain
        votes = math.log1p(best.votes)
        background = sum(map(math.log1p, self.elsewhere)) + USUAL_COUNT * math.log1p(USUAL_VOTES)
        prominence = votes - background / (len(self.elsewhere) + USUAL_COUNT)
        return *plain, votes, votes - math.log1p(rival.votes or 0.0), best.share or 0.0, prominence


def localize(
    matches: Sequence[SearchMatch], active: ActiveCalibration | None = None, extent: float | None = None
) -> Estimate:
    """The place that the best matches show, its position, and the probability that it is right.

    The location is the weighted mean of the heaviest cluster. Without a calibration it is unknown whether the query's
    place is on the map at all: the verdict is `uncalibrated`, and the radius is an estimate: the root of FLOOR_METRES^2
    plus the weighted mean square distance of all considered matches from the location, so that a distant match with
    nearly the same similarity makes it large. With a calibration, the radius contains the true position in 68 of 100
    cases, and the place has a probability of being right.

    Args:
        matches: the best first; those after the first MATCHES are ignored, except for the votes of those
            among the first CANDIDATES that show other places.
        active: the calibration in use; None if there is none.
        extent: half the map's diagonal in metres, with which the radius of a calibration is scaled.
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
    """The heaviest cluster of the first MATCHES; a cluster is all matches within PLACE_METRES of one of them.

    Of equally heavy clusters, the one around the better match. If no match has a position, matches with the same place
    name form a cluster. None if there is no match.
    """
    located = [match for match in matches[:MATCHES] if is_placed(match.entry)]
    heard = located or list(matches[:MATCHES])
    if not heard:
        return None
    temperature = TEMPERATURE if heard[0].votes is None else SCORE_TEMPERATURE
    weighted = [(match, math.exp((match.score - heard[0].score) / temperature)) for match in heard]

    def around(seed: SearchMatch) -> list[tuple[SearchMatch, float]]:
        return [(match, weight) for match, weight in weighted if _together(seed.entry, match.entry)]

    members = max((around(seed) for seed in heard), key=lambda cluster: round(sum(w for _, w in cluster), 9))
    inside = {match.rank for match, _ in members}
    others = [(match, weight) for match, weight in weighted if match.rank not in inside]
    best = members[0][0].entry
    elsewhere = [
        match.votes
        for match in matches[:CANDIDATES]
        if match.votes is not None and is_placed(match.entry) == is_placed(best) and not _together(best, match.entry)
    ]
    return Cluster(members, others, elsewhere)


def _together(one: Entry, other: Entry) -> bool:
    if not is_placed(one):
        return one.place == other.place
    return metres_between(one, other) <= PLACE_METRES


def _locate(cluster: Cluster) -> EstimatedLocation | None:
    """The cluster's weighted mean position and uncalibrated radius; None without positions.

    The mean is computed on the earth if the best match has degrees, and in its local frame if it has one.
    """
    best = cluster.members[0][0].entry
    if not is_placed(best):
        return None
    members = [(match.entry, weight) for match, weight in cluster.members]
    others = [(match.entry, weight) for match, weight in cluster.others]
    points = [(point, weight) for entry, weight in members if (point := _beside(best, entry)) is not None]
    share = sum(weight for _, weight in points)
    east = sum(weight * x for (x, _), weight in points) / share
    north = sum(weight * y for (_, y), weight in points) / share
    everyone = [(point, weight) for entry, weight in [*members, *others] if (point := _beside(best, entry)) is not None]
    squares = (weight * ((x - east) ** 2 + (y - north) ** 2) for (x, y), weight in everyone)
    spread = sum(squares) / sum(weight for _, weight in everyone)
    headings = [math.nan if entry.heading is None else entry.heading for entry, _ in members]
    latitude = longitude = None
    if best.latitude is not None and best.longitude is not None:
        latitude, longitude = degrees_from((best.latitude, best.longitude), east, north)
    inside = [(entry, weight) for entry, weight in members if best.frame is not None and entry.frame == best.frame]
    return EstimatedLocation(
        latitude=None if latitude is None else round(latitude, 7),  # a centimetre
        longitude=None if longitude is None else round(longitude, 7),
        heading=mean_heading(np.array(headings), np.array([weight for _, weight in members])),
        uncertainty_metres=round(math.sqrt(FLOOR_METRES**2 + spread), 1),
        altitude=_rounded(_mean([(entry.altitude, weight) for entry, weight in members])),
        x=_rounded(_mean([(entry.x, weight) for entry, weight in inside])),
        y=_rounded(_mean([(entry.y, weight) for entry, weight in inside])),
        z=_rounded(_mean([(entry.z, weight) for entry, weight in inside])),
        floor=next((entry.floor for entry, _ in members if entry.floor is not None), None),
        frame=best.frame,
    )


def _beside(origin: Entry, entry: Entry) -> tuple[float, float] | None:
    """Metres of an entry from another one: east and north on the earth, or along the axes of their common frame.

    None if they have neither in common.
    """
    if origin.latitude is not None and origin.longitude is not None:
        if entry.latitude is None or entry.longitude is None:
            return None
        return metres_from((origin.latitude, origin.longitude), entry.latitude, entry.longitude)
    if entry.frame != origin.frame:
        return None
    assert origin.x is not None and origin.y is not None and entry.x is not None and entry.y is not None
    return entry.x - origin.x, entry.y - origin.y


def _mean(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    """The weighted mean of the known values; None if there are none."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def _rounded(metres: float | None) -> float | None:
    return None if metres is None else round(metres, 3)
