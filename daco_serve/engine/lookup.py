"""Looks up one query in one index: from its descriptors to its matches and its place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daco_index.embedding.engines.engine import Embedding
from daco_index.reranking.rerank import LocalQuery
from daco_index.reranking.voting import CellMatch
from daco_index.search.bundle import Bundle, SearchMatch
from daco_serve.engine.answers import Estimate, QueryOptions
from daco_serve.engine.calibration import ActiveCalibration, find_calibration, find_prior, map_extent
from daco_serve.engine.localize import MATCHES, localize
from daco_serve.engine.references.likeness import similarity_elsewhere


@dataclass(frozen=True)
class Lookup:
    """The result of looking up a query in an index.

    Args:
        matches: the requested number, best first.
        estimate: the place, which does not depend on the number of matches requested.
        cells: for each match, the cells that agree with the query's, None if they were not compared; None if they were
            not requested, or there are no local descriptors.
        searched: when the search ended and re-ranking began, by `time.perf_counter`.
    """

    matches: Sequence[SearchMatch]
    estimate: Estimate
    cells: list[list[CellMatch] | None] | None
    searched: float


def calibration_of(index: Path, bundle: Bundle, rerank: int) -> ActiveCalibration | None:
    """The calibration for an index: its own; else the prior calibration of its encoder; else None.

    Args:
        rerank: how many candidates its queries have ranked again; 0 for none.

    Raises:
        StoreAway, DamagedIndex: the references that a prior is adapted to cannot be read.
    """
    manifest = bundle.manifest
    reranks = bundle.local is not None and rerank > 0
    own = find_calibration(index, manifest.encoder_fingerprint, manifest.count, reranks)
    if own is not None or not reranks or (prior := find_prior(manifest.encoder_fingerprint)) is None:
        return own
    return ActiveCalibration("prior", prior.for_map(similarity_elsewhere(bundle)))


def look_up(
    bundle: Bundle,
    calibration: ActiveCalibration | None,
    embedding: Embedding,
    options: QueryOptions,
    only: Sequence[int] | None = None,
) -> Lookup:
    """Searches an index, re-ranks the first matches if it has local descriptors, and estimates the place.

    Args:
        calibration: None if there is none.
        embedding: of one photograph.
        only: ids of the references to search among; None for all.

    Raises:
        StoreAway: the vectors are on a server that does not respond.
        DamagedIndex: a file of the index that is needed was changed, or cannot be read.
    """
    matches = bundle.search(embedding.descriptors, max(options.k, MATCHES, options.rerank), only)[0]
    searched = time.perf_counter()
    cells = None
    if bundle.local is None or embedding.local is None:
        shown = matches[: options.k]
    else:
        query = LocalQuery.of(embedding.local[0])
        matches = bundle.rerank(matches, query, options.rerank)
        shown = matches[: options.k]
        if options.cells:
            cells = [
                None if match.votes is None else query.matched_cells(bundle.local, match.entry.id) for match in shown
            ]
    estimate = localize(matches, calibration, map_extent(bundle))
    return Lookup(shown, estimate, cells, searched)
