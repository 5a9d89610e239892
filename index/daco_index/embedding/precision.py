"""Chooses the precision of queries: the fastest one that is shown to find the references as well as fp32.

References are always embedded in fp32, so an index's descriptors do not depend on the choice and stay comparable after
additions, merges and moves to other machines. The test is like the later use: corrupted copies of reference
photographs, embedded in the tested precision, are looked up among the fp32 descriptors of the references.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from daco_core.encoder.preparation import Prepared
from daco_core.encoder.stored import StoredEncoder
from daco_core.errors import DacoError, MissingExtra, UsageError
from daco_index.embedding.devices import CPU, pick_device
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.engines.quantise import CALIBRATION_IMAGES, MODEL_FILE, can_quantise, quantise
from daco_index.embedding.options import EmbeddingOptions
from daco_index.embedding.precision_record import Precision, PrecisionRequest, QueryPrecision, Tried
from daco_index.embedding.query_corruption import STRENGTHS, degraded
from daco_index.references.object_stores import Source, open_photograph

MOST_LOSS = 0.5  # points of recall that another precision than fp32 may lose
LEAST_GAIN = 1.15  # speed relative to fp32 that a precision needs if it was not requested by name
LEAST_REFERENCES = 200  # with fewer, half a point cannot be measured, and auto chooses fp32
QUERIES = 400  # corrupted copies to look up, each of another reference if there are enough
DISTRACTORS = 20_000  # references among which they are looked up
AT_ONCE = 32
CALIBRATION_COPIES = 10_000  # the number of the first copy that is used for calibration


@dataclass(frozen=True)
class ReferenceSample:
    """The references that a precision is tested on.

    Args:
        paths, places: of n references.
        vectors: row numbers to descriptors, (m, dimension), of these references.
    """

    paths: Sequence[Source]
    places: Sequence[str]
    vectors: Callable[[Sequence[int]], NDArray[np.float32]]


def check_precision(request: PrecisionRequest, device: str) -> None:
    """Rejects impossible precisions early.

    Raises:
        DacoError: int8 without NNCF or on a GPU, or no such device.
    """
    if request != "int8":
        return
    if pick_device(device) != CPU:
        raise UsageError("int8 is for CPUs: add --device cpu, or use --precision bf16.")
    if not can_quantise():
        raise MissingExtra("int8 needs NNCF, which is not installed: pip install 'daco-serve[int8]'")


def choose_precision(
    encoder: StoredEncoder, exact: Engine, references: ReferenceSample, folder: Path, options: EmbeddingOptions
) -> QueryPrecision:
    """Tests the precisions that may be faster than fp32; returns the fastest that passes, or the requested one.

    Args:
        exact: the engine that embedded the references, in fp32.
        folder: where the encoder's int8 form is written, if that is tested; created if it is missing.

    Raises:
        DacoError: the encoder cannot be quantised, or a reference can no longer be read.
    """
    request, device, paths = options.precision or "auto", options.device, references.paths
    names = _candidates(request, device)
    if not names:
        return QueryPrecision("fp32", request, "fp32 was requested.")
    if request == "auto" and len(paths) < LEAST_REFERENCES:
        few = f"at least {LEAST_REFERENCES} references are needed to test whether a faster precision loses recall."
        return QueryPrecision("fp32", request, few)
    copies = _Copies(exact, paths)
    # on a GPU one photograph is embedded by a CUDA graph, which gains from bf16; a batch run step by step does not
    recorded = pick_device(device) != CPU
    timed = create_engine(encoder, device) if recorded else exact
    engines: dict[Precision, Engine] = {}
    failed = []
    for name in names:
        try:
            if name == "int8":
                folder.mkdir(exist_ok=True)
                quantise(encoder, copies.to_calibrate(CALIBRATION_IMAGES), folder, options.progress)
            engines[name] = create_engine(
                encoder, device, name, folder / MODEL_FILE, goal="latency" if recorded else "throughput"
            )
        except (DacoError, OSError, RuntimeError) as error:  # of OpenVINO, or a full disk
            failed.append(str(error))
    if not engines:
        return QueryPrecision("fp32", request, " ".join(failed))
    proved = _prove(request, _Trial(exact, timed, engines), copies, references, options.progress)
    return replace(proved, reason=" ".join([*failed, proved.reason]))


def _candidates(request: PrecisionRequest, device: str) -> list[Precision]:
    """The precisions to test."""
    on_cpu = pick_device(device) == CPU
    quantisable: list[Precision] = ["int8"] if on_cpu and can_quantise() else []
    by_request: dict[PrecisionRequest, list[Precision]] = {
        "fp32": [],
        "bf16": ["bf16"],
        "int8": [*quantisable, "bf16"],
        "auto": [*quantisable, "bf16"],
    }
    return by_request[request]


class _Copies:
    """Reference photographs and corrupted copies of them, prepared for the encoder."""

    def __init__(self, engine: Engine, paths: Sequence[Source]) -> None:
        self._engine = engine
        self._paths = paths

    def plain(self, row: int) -> Prepared:
        return self._engine.prepare(self._open(row))

    def to_calibrate(self, most: int) -> list[Prepared]:
        """At most `most` copies of all strengths, none of which is looked up."""
        rows = _spread(len(self._paths), most, offset=1)
        return [self.degraded((row, CALIBRATION_COPIES + place)) for place, row in enumerate(rows)]

    def degraded(self, query: tuple[int, int]) -> Prepared:
        row, copy = query
        return self._engine.prepare(degraded(self._open(row), copy % STRENGTHS, row + copy))

    def _open(self, row: int) -> Image.Image:
        return open_photograph(self._paths[row], self._engine.image_size)


@dataclass(frozen=True)
class _Trial:
    """The engines to compare: fp32, the fp32 engine for timing, and the others by precision."""

    exact: Engine
    timed: Engine
    others: dict[Precision, Engine]


def _prove(
    request: PrecisionRequest, trial: _Trial, copies: _Copies, sample: ReferenceSample, progress: bool
) -> QueryPrecision:
    exact, timed, engines, places = trial.exact, trial.timed, trial.others, sample.places
    sources = _spread(len(places), QUERIES)
    # the strengths take turns; a reference that is used again gets another strength
    queries = [(sources[turn % len(sources)], turn + turn // len(sources)) for turn in range(QUERIES)]
    embedded: dict[Precision, list[NDArray[np.float32]]] = {name: [] for name in ("fp32", *engines)}
    for batch in _prepared(copies, queries, progress):
        embedded["fp32"].append(exact.embed_prepared(batch))
        for name, engine in engines.items():
            embedded[name].append(engine.embed_prepared(batch))
    among = np.union1d(_spread(len(places), DISTRACTORS), sources).tolist()
    references = sample.vectors(among)
    right = np.array([places[row] for row, _ in queries])[:, None] == np.array([places[row] for row in among])[None]
    base = np.concatenate(embedded["fp32"])
    recall_fp32 = _recall(base, references, right)
    seconds = _seconds(timed, engines, copies.plain(sources[0]))
    tried = []
    for name in engines:
        rows = np.concatenate(embedded[name])
        recall, speedup = _recall(rows, references, right), seconds["fp32"] / seconds[name]
        good = recall >= recall_fp32 - MOST_LOSS and (name == request or speedup >= LEAST_GAIN)
        agreement = float((rows * base).sum(axis=1).mean())
        tried.append(Tried(name, round(recall, 2), round(recall_fp32, 2), round(agreement, 5), round(speedup, 2), good))
    accepted = pick(tried, request)
    if accepted is None:
        return QueryPrecision("fp32", request, _why_not(tried, request), len(queries), tuple(tried))
    reason = (
        f"{accepted.speedup:g} times as fast as fp32, at {accepted.recall - accepted.recall_fp32:+.2f} points of R@1."
    )
    return QueryPrecision(accepted.precision, request, reason, len(queries), tuple(tried))


def pick(tried: Sequence[Tried], request: PrecisionRequest) -> Tried | None:
    """Of those that passed, the one requested by name, else the fastest; None if none passed."""
    proved = [one for one in tried if one.accepted]
    return max(proved, key=lambda one: (one.precision == request, one.speedup), default=None)


def _why_not(tried: Sequence[Tried], request: PrecisionRequest) -> str:
    parts = [
        f"{one.precision} costs {one.recall_fp32 - one.recall:.2f} points of R@1"
        if one.recall < one.recall_fp32 - MOST_LOSS
        else f"{one.precision} is only {one.speedup:g} times as fast as fp32"
        for one in tried
    ]
    return "; ".join(parts) + "."


def _prepared(copies: _Copies, queries: Sequence[tuple[int, int]], progress: bool) -> Iterator[list[Prepared]]:
    bar = tqdm(total=len(queries), desc="proving the precision", unit=" queries", disable=not progress, delay=2)
    with ThreadPoolExecutor(thread_name_prefix="decode") as pool, bar:
        for start in range(0, len(queries), AT_ONCE):
            batch = queries[start : start + AT_ONCE]
            yield list(pool.map(copies.degraded, batch))
            bar.update(len(batch))


def _recall(rows: NDArray[np.float32], references: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """R@1 in percent."""
    best = (rows @ references.T).argmax(axis=1)
    return float(100 * right[np.arange(len(rows)), best].mean())


def _seconds(exact: Engine, engines: dict[Precision, Engine], image: Prepared) -> dict[Precision, float]:
    """Median seconds for one photograph. The engines take turns, so that other load affects all equally."""
    everyone: dict[Precision, Engine] = {"fp32": exact, **engines}
    on_cpu = "OpenVINO" in exact.description
    clock = time.process_time if on_cpu else time.perf_counter  # other programs take time, but not this one's CPU time
    taken: dict[Precision, list[float]] = {name: [] for name in everyone}
    for turn in range(12):
        for name, engine in everyone.items():
            start = clock()
            engine.embed_prepared([image])
            if turn > 1:
                taken[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def _spread(count: int, most: int, offset: int = 0) -> list[int]:
    """At most `most` of `count` rows, evenly spread."""
    wanted = min(count, most)
    return sorted({(offset + row * count // wanted) % count for row in range(wanted)})
