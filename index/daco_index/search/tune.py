"""Tunes an index's search with the user's own photographs, and publishes the result as a new generation."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from daco_core.errors import DacoError, UsageError
from daco_index.embedding.embed import embed_files
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.contents import republish
from daco_index.generations.folders import KEPT, Writer, generation_folder, read_current
from daco_index.generations.manifest import Manifest
from daco_index.references.find import Split, find_references
from daco_index.search.bundle import Bundle
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.tuning import (
    K,
    OperatingPoint,
    Queries,
    curve,
    measured,
    one_by_one,
    own_queries,
    pick,
    queries_for,
)

EXACT_ONES = 32  # queries by which the exact search is timed


@dataclass(frozen=True)
class TuneReport:
    """The measured and chosen settings.

    Args:
        manifest: of the live generation.
        published: false if nothing was changed.
        exact_milliseconds: the median time of one query that is compared with every descriptor.
        points: all settings that were tried.
        chosen: the fastest that reaches the recall; if none does, the one with the highest recall.
    """

    manifest: Manifest
    published: bool
    exact_milliseconds: float
    points: list[OperatingPoint]
    chosen: OperatingPoint


@dataclass(frozen=True)
class TuneOptions(EmbeddingOptions):
    """How to measure and tune a search; see also `EmbeddingOptions`.

    Args:
        data_root, split: of the queries, see `find_references`.
        recall: the recall of the exact ten best to reach; None for that requested in the build.
        keep: number of generations to keep, including the new one.
        publish: false to measure only.
    """

    data_root: Path = Path("data")
    split: Split = "all"
    recall: float | None = None
    keep: int = KEPT
    publish: bool = True


def tune_index(index: Path, source: str | None = None, options: TuneOptions | None = None) -> TuneReport:
    """Measures the search of an index over its parameters, and keeps the best in a new generation.

    Args:
        source: photographs to look up, see `find_references`, preferably in the condition of later queries; None for
            the index's own descriptors, shifted as from day to night.

    Raises:
        DacoError: the index is exact or on a server, no photograph can be read, or the user can correct another cause.
    """
    options = options or TuneOptions()
    read_current(index)
    with Writer(index, options.keep) if options.publish else nullcontext() as writer:
        live = Bundle.open(index, options.trust)
        store, manifest = live.store, live.manifest
        if not isinstance(store, FaissStore):
            raise UsageError(f"{index} is searched by a Milvus server, which cannot be tuned here.")
        if store.candidates is None:
            raise UsageError(f"{index} is searched exactly: there is nothing to tune, and nothing is missed.")
        queries = own_queries(store) if source is None else _embed(live, store, source, options)
        _, exact = one_by_one(store.search_exactly, queries.vectors[:EXACT_ONES], min(K, store.count))
        points = list(curve(store, queries))
        wanted = manifest.search.requested.recall if options.recall is None else options.recall
        chosen = pick(points, wanted)
        asked = replace(manifest.search.requested, recall=wanted)
        search = replace(
            manifest.search, requested=asked, parameters=chosen.parameters, measured=measured(store, chosen, queries)
        )
        if writer is not None:
            folder = generation_folder(index, manifest.generation)
            manifest = republish(writer, folder, replace(manifest, search=search), "tune", manifest.next_id)
        return TuneReport(manifest, options.publish, round(exact, 3), points, chosen)


def _embed(live: Bundle, store: FaissStore, source: str, options: TuneOptions) -> Queries:
    """Embeds the photographs of a source as queries."""
    paths = [reference.path for reference in find_references(source, options.data_root, options.split)]
    engine = query_engine(live, options.device)
    embedded = embed_files(engine, paths, options.batch_size, strict=options.strict, progress=options.progress)
    if not embedded.kept:
        raise DacoError(f"No photograph in {source} can be read. First: {embedded.unreadable[0]}")
    return queries_for(store, embedded.vectors, f"the photographs of {source}")
