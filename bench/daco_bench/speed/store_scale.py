"""Compares Milvus with FAISS in this process on the same descriptors: writing, searching and updates."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np

from daco_bench.speed.search.synthetic import SyntheticMap
from daco_index.generations.folders import GENERATIONS
from daco_index.search.store import VectorStore
from daco_index.search.stores.address import MilvusAddress
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.milvus import POINTER_FILE, MilvusStore
from daco_index.search.tuning import K, recall_of

QUERIES = 200
CHANGED = 1000  # vectors that are added, and that are removed, in one update
WARM_UP = 20


@dataclass(frozen=True)
class ScaleRow:
    """The measurements at one size.

    Args:
        written_per_second: vectors written to Milvus, whether it builds its index during that time or later.
        recall: of the exact ten best, with Milvus.
        milvus_ms, exact_ms: median time of one query, in turns, with Milvus and with exact search by FAISS.
        change_seconds: time to write a generation with CHANGED vectors added and CHANGED removed.
    """

    count: int
    written_per_second: float
    recall: float
    milvus_ms: float
    exact_ms: float
    change_seconds: float


def run_stores(
    address: MilvusAddress, sizes: Sequence[int], dimension: int, say: Callable[[str], None], seed: int = 0
) -> Iterator[ScaleRow]:
    """Measures every size in a separate collection, which is dropped at the end.

    Raises:
        StoreAway: the server does not respond.
    """
    synthetic, owner = SyntheticMap(dimension, seed), uuid4().hex[:8]

    def begin(index: Path, number: int) -> MilvusStore:
        return MilvusStore.begin(address, index, owner, "benchmark", dimension, number)

    with TemporaryDirectory() as folder:
        index = Path(folder)
        try:
            for count in sizes:
                exact, written = FaissStore.create(dimension), begin(index, 1)
                say(f"{count}: writing")
                start = time.perf_counter()
                for vectors in synthetic.descriptors(count):
                    ids = np.arange(exact.count, exact.count + len(vectors))
                    exact.add(vectors, ids)
                    written.add(vectors, ids)
                first = _finish(index, 1, written)
                seconds = time.perf_counter() - start
                say(f"{count}: asking")
                recall, milvus_ms, exact_ms = _ask(first, exact, synthetic.queries(QUERIES, count))
                say(f"{count}: changing")
                start = time.perf_counter()
                changed = begin(index, 2)
                changed.remove(np.arange(CHANGED))
                changed.add(exact.vectors(np.arange(CHANGED)), np.arange(count, count + CHANGED))
                _finish(index, 2, changed)
                change_seconds = time.perf_counter() - start
                yield ScaleRow(count, round(count / seconds), recall, milvus_ms, exact_ms, round(change_seconds, 2))
                shutil.rmtree(index / GENERATIONS)
        finally:
            shutil.rmtree(index / GENERATIONS, ignore_errors=True)
            begin(index, 1).drop()


def to_markdown(rows: Sequence[ScaleRow]) -> str:
    """One line for each size; times also as multiples of FAISS's in the same run."""
    lines = [
        "| descriptors | written, per s | recall@10 | Milvus, ms | FAISS exact, ms | Milvus : exact | "
        f"{CHANGED} join, {CHANGED} leave, s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.count} | {row.written_per_second:.0f} | {row.recall:.3f} | {row.milvus_ms:.1f} |"
            f" {row.exact_ms:.2f} | {row.milvus_ms / row.exact_ms:.1f} | {row.change_seconds:.1f} |"
        )
    return "\n".join(lines)


def to_json(rows: Sequence[ScaleRow]) -> str:
    """The measurements as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def _finish(index: Path, number: int, store: MilvusStore) -> MilvusStore:
    file = index / GENERATIONS / str(number) / POINTER_FILE
    file.parent.mkdir(parents=True)
    store.save(file)
    return MilvusStore.load(file)


def _ask(milvus: VectorStore, exact: VectorStore, queries: np.ndarray) -> tuple[float, float, float]:
    """Recall of Milvus against the exact search, and the median milliseconds of a query with each, in turns."""
    taken: dict[VectorStore, list[float]] = {milvus: [], exact: []}
    found: dict[VectorStore, list[np.ndarray]] = {milvus: [], exact: []}
    for query in queries:
        for store in (milvus, exact):
            start = time.perf_counter()
            found[store].append(store.search(query[None], K)[1][0])
            taken[store].append(1000 * (time.perf_counter() - start))
    recall = recall_of(np.array(found[milvus]), np.array(found[exact]))
    return recall, float(np.median(taken[milvus][WARM_UP:])), float(np.median(taken[exact][WARM_UP:]))
