"""Runs the comparison: size by size, all engines in turns on the same queries."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from daco_bench.speed.search.engines import (
    EFFORTS,
    LINKS,
    OPENED_BY,
    OTHERS,
    Searcher,
    Setting,
    Vectors,
    open_store,
    save_served,
)
from daco_bench.speed.search.synthetic import VIEWS, SyntheticMap, statistics_of
from daco_core.errors import DacoError, UsageError
from daco_core.memory import machine_memory
from daco_index.generations.folders import generation_folder, read_current
from daco_index.search.bundle import VECTORS_FILE
from daco_index.search.index_choice import EXACT, SearchOptions, choose, size, smaller
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.tuning import K, Queries, curve, pick, queries_for, recall_of, surely

QUERIES = 1024  # half for tuning the engines, half for measuring
BATCH = 64
BATCHES = 32
TURNS = 8
SAMPLED = 1500  # descriptors whose statistics are computed
COPIES = 5  # of the exact vectors in the memory of all engines together
COPIES_ON_GPU = 3  # of them that engines on a GPU additionally hold in main memory
COPIES_ALONE = 2  # of them that building the compressed index needs
ASKED = ("served", "no catalogue", "bare FAISS")
ASKED_ON_GPU = ("served, GPU", "bare FAISS, GPU")
EXACT_ON_GPU, SMALL_ON_GPU = "exact on a GPU", "small on a GPU"


@dataclass(frozen=True)
class SearchRow:
    """One engine at one size.

    Args:
        count: descriptors in the index.
        kind: `exact` or `small` for FAISS, with `on a GPU` there; otherwise the engine's name.
        asked: an entry of `ASKED` or `ASKED_ON_GPU`; the engine's name for others.
        factory: FAISS's factory string, or how the graph was built.
        chosen: whether `daco-index build` chooses this index at this size.
        setting: the lowest setting that reached the requested recall, on other queries.
        recall: of the exact ten best.
        query_ms, batch_ms: median time of one query, and of a batch of 64.
        build_cpu_seconds: of all cores together, for training and filling, without waiting.
        bytes_per_vector: in memory, without mapped files.
        disk_bytes_per_vector: of all files.
        own_mib, mapped_mib: resident memory of a process that has answered all queries; None if not measured.
    """

    count: int
    kind: str
    asked: str
    factory: str
    chosen: bool
    setting: Setting
    recall: float
    query_ms: float
    batch_ms: float
    build_cpu_seconds: float
    bytes_per_vector: float
    disk_bytes_per_vector: float
    own_mib: float | None = None
    mapped_mib: float | None = None


def run_sizes(
    sizes: Sequence[int],
    dimension: int,
    recall: float,
    others: Sequence[str],
    work: Path,
    say: Callable[[str], None],
    seed: int = 0,
    gpu: bool = False,
) -> Iterator[SearchRow]:
    """Builds and measures every engine at every size; only the compressed index if the memory does not suffice for all.

    Args:
        recall: the recall of the exact ten best to which each engine is tuned.
        others: names of `OTHERS`.
        work: a folder for the indexes; existing ones are reused.
        say: called with messages on the progress.
        gpu: also measure FAISS on a GPU.

    Raises:
        DacoError: the memory does not suffice, or an engine is not installed.
    """
    unknown = set(others) - set(OTHERS)
    if unknown:
        raise UsageError(f"There is no engine {min(unknown)!r}: choose from {', '.join(OTHERS)}.")
    memory, needed = machine_memory(), COPIES_ALONE * 4 * max(sizes) * dimension
    if needed > memory:
        raise UsageError(
            f"{max(sizes)} descriptors of {dimension} numbers need about {size(needed)} to be indexed, and this machine"
            f" has {size(memory)}: use a smaller size."
        )
    synthetic = SyntheticMap(dimension, seed)
    for count in sizes:
        folder = work / f"{count}x{dimension}-{seed}"
        if (COPIES + COPIES_ON_GPU * gpu) * 4 * count * dimension <= memory:
            kinds = ("exact", "small", *((EXACT_ON_GPU, SMALL_ON_GPU) if gpu else ()), *others)
            yield from _run_size(count, synthetic, recall, kinds, ASKED, folder, say)
        else:
            say(f"{count}: too many for all engines together, so only the compressed index is measured")
            yield from _run_size(count, synthetic, recall, ("small",), ASKED[:2], folder, say)


def _run_size(
    count: int,
    synthetic: SyntheticMap,
    recall: float,
    kinds: Sequence[str],
    asked_how: Sequence[str],
    work: Path,
    say: Callable[[str], None],
) -> Iterator[SearchRow]:
    dimension = synthetic.dimension
    factories = {
        "exact": EXACT,
        "small": smaller(count, dimension)[0][0],
        EXACT_ON_GPU: EXACT,
        SMALL_ON_GPU: smaller(count, dimension, gpu=True)[0][0],
    }
    folders = {kind: work / ("exact" if kind == EXACT_ON_GPU else kind) for kind in kinds}
    seconds = _build_all(count, synthetic, factories, folders, say)
    exact = open_store(folders[kinds[0]])
    queries = synthetic.queries(QUERIES, count)
    set_by, queries = queries_for(exact, queries[::2], "tuning"), queries[1::2]
    truth = exact.search_exactly(queries, K)[1]

    rows: dict[str, SearchRow] = {}
    searchers: dict[str, Searcher] = {}
    for kind in kinds:
        if kind in OTHERS:
            searchers[kind] = OTHERS[kind](folders[kind])
            setting = _least_effort(searchers[kind], set_by, recall)
            rows[kind] = _row(count, kind, kind, f"{LINKS} links", False, setting, seconds[kind])
            continue
        on_gpu = kind in (EXACT_ON_GPU, SMALL_ON_GPU)
        chosen = choose(count, dimension, SearchOptions(recall), on_gpu).factory == factories[kind]
        opened = {asked: OPENED_BY[asked](folders[kind]) for asked in (ASKED_ON_GPU if on_gpu else asked_how)}
        ours = next(iter(opened.values()))
        setting = {} if factories[kind] == EXACT else pick(list(curve(ours.store, set_by, recall)), recall).parameters
        for asked, searcher in opened.items():
            searchers[f"{kind}, {asked}"] = searcher
            rows[f"{kind}, {asked}"] = _row(count, kind, asked, factories[kind], chosen, setting, seconds[kind])

    say(f"{count}: asking")
    for name, searcher in searchers.items():
        searcher.tune(rows[name].setting)
    single, batches = time_together(searchers, queries)
    for name, row in rows.items():
        answers = searchers[name].ids(searchers[name].ask(queries, K))
        # the catalogue's code also loads PyTorch, whose memory is not that of the search
        folder = folders[row.kind]
        alone = row.asked not in ("served", *ASKED_ON_GPU)
        own = resident_of(row.asked, folder, queries, row.setting) if alone else {}
        yield replace(
            row,
            recall=round(recall_of(answers, truth), 4),
            query_ms=round(single[name], 4),
            batch_ms=round(batches[name], 3),
            bytes_per_vector=round(searchers[name].bytes_per_vector, 1),
            disk_bytes_per_vector=round(sum(file.stat().st_size for file in folder.iterdir()) / count, 1),
            own_mib=own.get("own"),
            mapped_mib=own.get("mapped"),
        )


def statistics(dimension: int, seed: int = 0, index: Path | None = None) -> dict[str, Any]:
    """The statistics of synthetic descriptors, one photograph per place; and of an index, if given, at its dimension.

    Raises:
        DacoError: there is no complete index.
    """
    found: dict[str, Any] = {}
    if index is not None:
        store = FaissStore.load(generation_folder(index, read_current(index).generation) / VECTORS_FILE)
        dimension = store.dimension
        chosen = np.random.default_rng(seed).permutation(store.ids())[:SAMPLED]
        found[str(index)] = asdict(statistics_of(store.vectors(chosen)))
    synthetic = SyntheticMap(dimension, seed)
    first = np.concatenate([part[::VIEWS] for part in synthetic.descriptors(SAMPLED * VIEWS)])
    return {"dimension": dimension, "synthetic": asdict(statistics_of(first)), **found}


def time_together(searchers: dict[str, Searcher], queries: Vectors) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds of one query and of a batch.

    The engines take turns in a random order, so that other load affects all equally. In a turn each answers some
    queries one after the other; queries are not repeated, because the engines may share memory.
    """
    batches = [np.roll(queries, -BATCH * number, axis=0)[:BATCH] for number in range(BATCHES)]
    ones = [queries[row : row + 1] for row in range(len(queries))]
    random = np.random.default_rng(0)
    medians = []
    for parts in (ones, batches):
        turns = [parts[start::TURNS] for start in range(TURNS)]
        taken: dict[str, list[float]] = {name: [] for name in searchers}
        for turn in range(TURNS):
            for place in random.permutation(len(searchers)):
                name = list(searchers)[place]
                for part in turns[(turn + place) % TURNS]:
                    began = time.perf_counter()
                    searchers[name].ask(part, K)
                    taken[name].append(time.perf_counter() - began)
        medians.append({name: 1000 * float(np.median(seconds)) for name, seconds in taken.items()})
    return medians[0], medians[1]


def resident_of(engine: str, folder: Path, queries: Vectors, setting: Setting) -> dict[str, float]:
    """The memory in MiB of a process with only this engine, after the queries."""
    file = folder.parent / "queries.npy"
    np.save(file, queries)
    module = "daco_bench.speed.search.resident"
    done = subprocess.run(
        [sys.executable, "-m", module, engine, folder, file, json.dumps(setting)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DacoError(f"The memory of {engine} cannot be measured: {done.stderr.strip().splitlines()[-1]}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _row(count: int, kind: str, asked: str, factory: str, chosen: bool, setting: Setting, seconds: float) -> SearchRow:
    """The values that are known before the measurement."""
    return SearchRow(count, kind, asked, factory, chosen, setting, 0, 0, 0, seconds, 0, 0)


def _build_all(
    count: int,
    synthetic: SyntheticMap,
    factories: dict[str, str],
    folders: dict[str, Path],
    say: Callable[[str], None],
) -> dict[str, float]:
    """Builds indexes that do not exist yet; returns the CPU seconds of each, also of existing ones."""
    notes = {kind: folder / "cpu_seconds.txt" for kind, folder in folders.items()}
    missing = [kind for kind, note in notes.items() if kind != EXACT_ON_GPU and not note.exists()]
    if missing:
        store = FaissStore.create(synthetic.dimension)
        for vectors in synthetic.descriptors(count):
            store.add(vectors, np.arange(store.count, store.count + len(vectors)))
        for kind in missing:
            say(f"{count}: building {kind}")
            folders[kind].mkdir(parents=True, exist_ok=True)
            if kind in OTHERS:
                seconds = OTHERS[kind].build(store, folders[kind])
            else:
                seconds = _build_ours(store, factories[kind], folders[kind], kind == SMALL_ON_GPU)
            notes[kind].write_text(f"{seconds:.2f}")
    return {kind: float(note.read_text()) for kind, note in notes.items()}


def _build_ours(store: FaissStore, factory: str, folder: Path, gpu: bool) -> float:
    start = time.process_time()
    store.arrange(factory, gpu=gpu)
    seconds = time.process_time() - start
    save_served(store, folder)
    return seconds


def _least_effort(searcher: Searcher, queries: Queries, recall: float) -> Setting:
    for effort in EFFORTS:
        searcher.tune({"ef": effort})
        if surely(searcher.ids(searcher.ask(queries.vectors, K)), queries.truth) >= recall:
            break
    return {"ef": effort}
