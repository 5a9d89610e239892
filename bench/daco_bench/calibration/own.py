"""Fits a calibration on queries with known places, and evaluates it on held-out queries."""

from pathlib import Path

from daco_bench.calibration.asked_queries import AskedQueries, ask, embed_queries
from daco_bench.calibration.fitting import Origin, Outcomes, fit
from daco_bench.calibration.held_out import FOLDS, TURNS, judge, make_folds, summarise
from daco_bench.calibration.name_rule import Names, names_rule
from daco_bench.indexed_queries import IndexedQueries
from daco_core.errors import DacoError, UsageError
from daco_index.search.bundle import Bundle
from daco_serve.engine.calibration import Calibration, HeldOut, map_extent

LEAST_QUERIES = 20
ELSEWHERE = 0.2


def calibrate(
    asked: IndexedQueries, elsewhere: float = ELSEWHERE, frames: int | None = None, progress: bool = True
) -> Calibration:
    """Fits a calibration for an index and its encoder, from queries with positions or with the map's place names.

    Each query is evaluated twice: with the map, and with the map without the query's place, as if from elsewhere.

    Args:
        elsewhere: expected share of queries from places that are not on the map, between 0 and 1.
        frames: for a map without positions whose places are numbered along a route: a match within this many frames is
            right; None if only the same name is right.

    Raises:
        DacoError: there is no index; fewer than LEAST_QUERIES queries show a place on it; or, with `frames`, places
            have no number, or have positions.
    """
    bundle, engine, truths = asked.open()
    rule = names_rule(bundle, truths, frames)
    found = ask(bundle, embed_queries(engine, truths, progress), rule, elsewhere)
    return fit_and_judge(bundle, found, rule, asked.index, asked.queries, elsewhere)


def fit_and_judge(
    bundle: Bundle, asked: AskedQueries, rule: Names, index: Path, queries: str, elsewhere: float
) -> Calibration:
    """The calibration fitted on all outcomes, with its evaluation by cross-validation.

    Raises:
        DacoError: fewer than LEAST_QUERIES queries show a place of the map, or all are in one cell.
    """
    truths, outcomes = asked.truths, asked.outcomes
    if (count := int(outcomes.on_map.sum())) < LEAST_QUERIES:
        raise UsageError(
            f"Only {count} photographs of {queries} show a place of {index}; a calibration needs {LEAST_QUERIES}."
            " Photographs need positions, or the place names of the map."
        )
    extent = map_extent(bundle)
    origin = Origin(bundle.manifest.encoder_fingerprint, bundle.manifest.count, queries, elsewhere)

    def fitted(part: Outcomes, held_out: HeldOut | None = None) -> Calibration:
        return fit(part, extent, origin, held_out)

    turns = [make_folds(truths, turn, rule)[outcomes.query] for turn in range(TURNS)]
    judged = [
        judge(fitted(outcomes.part(folds != fold)), outcomes.part(folds == fold), extent)
        for folds in turns
        for fold in range(FOLDS)
        if (folds == fold).any() and outcomes.on_map[folds != fold].any()
    ]
    if not judged:
        raise DacoError(f"The photographs of {queries} are all at one spot, so none can be held out for evaluation.")
    return fitted(outcomes, summarise(judged))
