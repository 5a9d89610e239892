"""Fits a calibration on queries with known places, and evaluates it on held-out queries."""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.distances import Places, is_placed, metres_between
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_core.photographs.locations import PLACE_METRES
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.references.find import Reference, Split, find_references
from daco_index.references.object_stores import read_source
from daco_index.reranking.rerank import CANDIDATES, LocalQuery
from daco_index.search.bundle import Bundle, SearchMatch
from daco_serve.engine.calibration import Bin, Calibration, HeldOut, Outcomes, fit, map_extent
from daco_serve.engine.localize import LEAST_ON_MAP, MATCHES, find_cluster, localize

CLEARING_METRES = 50.0  # around a query's place; the map without this area stands for one without the place
NEAR = 150  # further matches besides MATCHES, so that enough remain outside the clearing
LEAST_QUERIES = 20
FOLDS = 5
BINS = 10
TURNS = 4  # repetitions of the cross-validation with other partitions, which matter if there are few queries
CELL_DEGREES = 0.002  # queries within about 200 m are in the same part of the cross-validation
CELL_METRES = 200.0  # the same in a local frame
CLEARING_FACTOR, CELL_FACTOR = 2, 8  # of a tolerance in frames: the size of the clearing and of a cell
ELSEWHERE = 0.2


def calibrate(
    index: Path,
    queries: str,
    data_root: Path = Path("data"),
    split: Split = "all",
    elsewhere: float = ELSEWHERE,
    device: str = "auto",
    trust: bool = False,
    progress: bool = True,
    frames: int | None = None,
) -> Calibration:
    """Fits a calibration for an index and its encoder, from queries with positions or with the map's place names.

    Each query is evaluated twice: with the map, and with the map without the query's place, as if from elsewhere.

    Args:
        queries, data_root, split: the query photographs, see `find_references`.
        elsewhere: expected share of queries from places that are not on the map, between 0 and 1.
        frames: for a map without positions whose places are numbered along a route: a match within this many frames is
            right; None if only the same name is right.

    Raises:
        DacoError: there is no index; fewer than LEAST_QUERIES queries show a place on it; or, with `frames`, places
            have no number, or have positions.
    """
    bundle = Bundle.open(index, trust)
    truths = find_references(queries, data_root, split)
    rule = names_rule(bundle, truths, frames)
    embedded = embed_queries(query_engine(bundle, device), truths, progress)
    return fit_and_judge(bundle, ask(bundle, embedded, rule, elsewhere), rule, index, queries, elsewhere)


def fit_and_judge(
    bundle: Bundle, asked: "AskedQueries", rule: "Names", index: Path, queries: str, elsewhere: float
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
    manifest, now = bundle.manifest, datetime.now(UTC).isoformat(timespec="seconds")

    def fitted(part: Outcomes, held_out: HeldOut | None = None) -> Calibration:
        return fit(part, extent, manifest.encoder_fingerprint, manifest.count, now, queries, elsewhere, held_out)

    turns = [_folds(truths, turn, rule)[outcomes.query] for turn in range(TURNS)]
    judged = [
        _judge(fitted(outcomes.part(folds != fold)), outcomes.part(folds == fold), extent)
        for folds in turns
        for fold in range(FOLDS)
        if (folds == fold).any() and outcomes.on_map[folds != fold].any()
    ]
    if not judged:
        raise DacoError(f"The photographs of {queries} are all at one spot, so none can be held out for evaluation.")
    return fitted(outcomes, _held_out(judged))


@dataclass(frozen=True)
class AskedQueries:
    """The queries that could be read, and their outcomes."""

    truths: list[Reference]
    outcomes: Outcomes


def ask(
    bundle: Bundle,
    embedded: Iterable[tuple[Reference, Embedding]],
    rule: "Names",
    elsewhere: float,
    copies: bool = False,
) -> AskedQueries:
    """Evaluates each query twice: with the map, and with the map without the query's place.

    If the map has local descriptors, candidates are re-ranked as by a server.

    Args:
        copies: whether the queries are copies of references, whose originals may be their answers.
    """
    asked: list[_Asked] = []
    readable: list[Reference] = []
    known = _Known.of(bundle)
    for truth, embedding in embedded:
        matches = bundle.search(embedding.descriptors, MATCHES + NEAR)[0]
        cells = None if embedding.local is None else LocalQuery.of(embedding.local[0])
        if not copies:  # a query that is itself on the map must not be its own answer
            matches = [match for match in matches if match.entry.path != str(truth.path)]
        shown = copies or known.shows(truth, rule)
        asked += _ask_twice(bundle, truth, matches, cells, len(readable), rule, shown)
        readable.append(truth)
    on_map = np.array([one.on_map for one in asked], dtype=bool)
    counts = np.where(on_map, on_map.sum(), (~on_map).sum())
    outcomes = Outcomes(
        evidence=np.array([one.evidence for one in asked], dtype=np.float64),
        right=np.array([one.right for one in asked], dtype=bool),
        on_map=on_map,
        error=np.array([one.error for one in asked], dtype=np.float64),
        weight=np.where(on_map, 1 - elsewhere, elsewhere) / np.maximum(counts, 1),
        query=np.array([one.query for one in asked], dtype=np.int64),
    )
    return AskedQueries(readable, outcomes)


def embed_queries(engine: Engine, truths: Sequence[Reference], progress: bool) -> Iterator[tuple[Reference, Embedding]]:
    """Yields the photographs that can be read, with their descriptors; the others are reported on stderr.

    Local descriptors are not kept in memory: in float32 those of one photograph have 64 KB.
    """
    for truth in tqdm(truths, desc="looking up", unit=" images", disable=not progress, file=sys.stderr):
        try:
            image, _ = open_reduced(truth.path, engine.image_size, read_source(truth.path))
            prepared = engine.prepare(image)
        except (UnreadableImage, DacoError) as error:
            tqdm.write(f"Skipped: {error}", file=sys.stderr)
            continue
        yield truth, engine.embed_prepared_with_local([prepared])


@dataclass(frozen=True)
class _Asked:
    """The outcome of one query: see `Outcomes`."""

    evidence: tuple[float, ...]
    right: bool
    on_map: bool
    error: float
    query: int


@dataclass(frozen=True)
class Names:
    """Decides by their names whether places are the same: equal names, or numbers that differ by at most `frames`."""

    frames: int | None = None

    def same(self, one: str, other: str, factor: int = 1) -> bool:
        """Whether two places are the same, with `factor` times the tolerance."""
        if self.frames is None:
            return one == other
        return abs(_frame(one) - _frame(other)) <= factor * self.frames

    def alike(self, place: str, places: Iterable[str]) -> Iterable[str]:
        """Those of `places` that are the same as `place`."""
        return [place] if self.frames is None else [other for other in places if self.same(place, other)]

    def cell(self, place: str, shift: float) -> object:
        """The cell of a place; places in one cell are held out together. Shifted by `shift` cells."""
        if self.frames is None:
            return place
        return math.floor(_frame(place) / (CELL_FACTOR * max(1, self.frames)) + shift)


def names_rule(bundle: Bundle, truths: Sequence[Reference], frames: int | None) -> Names:
    if frames is None:
        return Names()
    if bundle.manifest.with_location:
        raise UsageError("--frames is for maps without positions; with positions, a match is right within 25 m.")
    for place in (*(entry.place for entry in bundle.catalog.all()), *(truth.place for truth in truths)):
        _frame(place)
    return Names(frames)


def _frame(place: str) -> int:
    """The last number in a place's name."""
    numbers = re.findall(r"\d+", place)
    if not numbers:
        raise UsageError(f"The place {place!r} has no number, which --frames needs.")
    return int(numbers[-1])


@dataclass(frozen=True)
class _Known:
    """The contents of a map: the files of each place, and the location of each file."""

    places: dict[str, set[str]]
    positions: Places
    rows: dict[str, int]

    @classmethod
    def of(cls, bundle: Bundle) -> "_Known":
        entries = bundle.catalog.all()
        places: dict[str, set[str]] = {}
        for entry in entries:
            places.setdefault(entry.place, set()).add(entry.path)
        located = [entry for entry in entries if is_placed(entry)]
        return cls(places, Places(located), {entry.path: row for row, entry in enumerate(located)})

    def shows(self, truth: Reference, rule: "Names") -> bool:
        """Whether another photograph of the map shows the same place as this one."""
        itself = str(truth.path)
        if not is_placed(truth) or not len(self.positions):
            return any(self.places.get(place, set()) - {itself} for place in rule.alike(truth.place, self.places))
        away = self.positions.metres_to(truth)
        if itself in self.rows:
            away[self.rows[itself]] = np.inf
        return bool(away.min() <= PLACE_METRES)


def _ask_twice(
    bundle: Bundle,
    truth: Reference,
    matches: Sequence[SearchMatch],
    cells: LocalQuery | None,
    query: int,
    rule: "Names",
    shown: bool,
) -> Iterator[_Asked]:
    """The outcomes of a query with the full map, if that shows its place, and with the map without the place."""

    def ranked(some: list[SearchMatch]) -> list[SearchMatch]:
        return some if cells is None else bundle.rerank(some, cells, CANDIDATES)

    if matches and shown:
        yield _ask(truth, ranked(list(matches)), query, rule)
    cleared = [match for match in matches if not _is_near(truth, match, rule)]
    if cleared:
        yield _Asked(_evidence(ranked(cleared)), False, False, np.inf, query)


def _ask(truth: Reference, matches: Sequence[SearchMatch], query: int, rule: Names) -> _Asked:
    location = localize(matches).location
    if location is None or not is_placed(truth):
        cluster = find_cluster(matches)
        right = cluster is not None and rule.same(cluster.members[0][0].entry.place, truth.place)
        return _Asked(_evidence(matches), right, True, np.inf, query)
    error = float(Places([location]).metres_to(truth)[0])
    return _Asked(_evidence(matches), error <= PLACE_METRES, True, error, query)


def _evidence(matches: Sequence[SearchMatch]) -> tuple[float, ...]:
    cluster = find_cluster(matches)
    assert cluster is not None  # because there are matches
    return cluster.evidence


def _is_near(truth: Reference, match: SearchMatch, rule: Names) -> bool:
    entry = match.entry
    if not is_placed(truth) or not is_placed(entry):
        return rule.same(truth.place, entry.place, CLEARING_FACTOR)
    return metres_between(truth, entry) <= CLEARING_METRES


def _folds(truths: Sequence[Reference], turn: int, rule: Names) -> NDArray[np.int64]:
    """The part of the cross-validation of each query, (n,); queries in one cell are in the same part."""
    cells: dict[object, int] = {}
    numbers = [cells.setdefault(_cell(truth, turn / TURNS, rule), len(cells)) for truth in truths]
    folds: NDArray[np.int64] = np.random.default_rng(turn).permutation(len(cells))[numbers] % FOLDS
    return folds


def _cell(truth: Reference, shift: float, rule: Names) -> object:
    """The cell of a query; the grid is shifted by this share of a cell."""
    if truth.latitude is None or truth.longitude is None:
        if truth.frame is None or truth.x is None or truth.y is None:
            return rule.cell(truth.place, shift)
        return truth.frame, math.floor(truth.x / CELL_METRES + shift), math.floor(truth.y / CELL_METRES + shift)
    return math.floor(truth.latitude / CELL_DEGREES + shift), math.floor(truth.longitude / CELL_DEGREES + shift)


@dataclass(frozen=True)
class _Judged:
    """The predictions of a calibration for held-out queries: (n,) each."""

    outcomes: Outcomes
    right: NDArray[np.float64]
    refused: NDArray[np.bool_]
    radius: NDArray[np.float64]


def _judge(calibration: Calibration, unseen: Outcomes, extent: float | None) -> _Judged:
    right = np.array([calibration.right(row) for row in unseen.evidence.tolist()])
    on_map = np.array([calibration.on_map(row) for row in unseen.evidence.tolist()])
    radii = [calibration.radius(chance, extent) for chance in right.tolist()]
    return _Judged(
        unseen, right, on_map < LEAST_ON_MAP, np.array([np.nan if radius is None else radius for radius in radii])
    )


def _held_out(judged: Sequence[_Judged]) -> HeldOut:
    def joined(parts: Sequence[NDArray[np.float64] | NDArray[np.bool_]]) -> NDArray[np.float64]:
        return np.concatenate(parts).astype(np.float64)

    predicted, observed = joined([one.right for one in judged]), joined([one.outcomes.right for one in judged])
    weight, refused = joined([one.outcomes.weight for one in judged]), joined([one.refused for one in judged])
    on_map = joined([one.outcomes.on_map for one in judged]) > 0
    error, radius = joined([one.outcomes.error for one in judged]), joined([one.radius for one in judged])
    weight = weight / weight.sum()
    curve = _curve(predicted, observed, weight)
    measured = on_map & np.isfinite(error) & np.isfinite(radius)
    return HeldOut(
        error=round(sum(point.share * abs(point.predicted - point.observed) for point in curve), 4),
        brier=round(float((weight * (predicted - observed) ** 2).sum()), 4),
        brier_constant=round(float((weight * ((weight * observed).sum() - observed) ** 2).sum()), 4),
        within_radius=round(float((error <= radius)[measured].mean()), 4) if measured.any() else None,
        refused_elsewhere=round(float(refused[~on_map].mean()), 4) if (~on_map).any() else 0.0,
        refused_on_map=round(float(refused[on_map].mean()), 4),
        curve=curve,
    )


def _curve(predicted: NDArray[np.float64], observed: NDArray[np.float64], weight: NDArray[np.float64]) -> list[Bin]:
    """The non-empty bins of equal width; `share` is a bin's part of the weight."""
    numbers = np.minimum((predicted * BINS).astype(int), BINS - 1)
    curve = []
    for number in np.unique(numbers[weight > 0]).tolist():
        inside = numbers == number
        share = float(weight[inside].sum())
        curve.append(
            Bin(
                least=number / BINS,
                most=(number + 1) / BINS,
                share=round(share, 4),
                predicted=round(float((weight * predicted)[inside].sum()) / share, 4),
                observed=round(float((weight * observed)[inside].sum()) / share, 4),
            )
        )
    return curve
