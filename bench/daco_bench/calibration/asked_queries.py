"""Queries with known places, looked up in a map that shows their place and in the map without it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from daco_bench.calibration.fitting import Outcomes
from daco_bench.calibration.name_rule import Names
from daco_core.errors import DacoError
from daco_core.photographs.distances import Places, is_placed, metres_between
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_core.photographs.locations import PLACE_METRES
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_index.references.find import Reference
from daco_index.references.object_stores import read_source
from daco_index.reranking import CANDIDATES
from daco_index.reranking.rerank import LocalQuery
from daco_index.search.bundle import Bundle, SearchMatch
from daco_serve.engine.localize import MATCHES, find_cluster, localize

CLEARING_METRES = 50.0  # around a query's place; the map without this area stands for one without the place
CLEARING_FACTOR = 2  # of a tolerance in frames: the size of that area
NEAR = 150  # further matches besides MATCHES, so that enough remain outside the clearing


@dataclass(frozen=True)
class AskedQueries:
    """The queries that could be read, and their outcomes."""

    truths: list[Reference]
    outcomes: Outcomes


def ask(
    bundle: Bundle,
    embedded: Iterable[tuple[Reference, Embedding]],
    rule: Names,
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

    def shows(self, truth: Reference, rule: Names) -> bool:
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
    rule: Names,
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
