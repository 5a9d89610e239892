"""Chooses the FAISS index for a number of descriptors: exact as long as that is fast, else compressed."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from daco_core.errors import UsageError
from daco_core.memory import machine_memory

Gpu = Literal["auto", "on", "off"]

EXACT = "Flat"
EXACT_NUMBERS = 2**24  # compared in 2 ms on two cores, which is little compared with embedding the photograph
GPU_NUMBERS = 2**31  # 8 GiB, which a GPU should read in some ms; not measured
GPU_CODES = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)  # the product codes that FAISS supports on a GPU
FEWEST = 4096  # descriptors needed to train a compressed index
LONG = 320  # numbers in a descriptor; of longer ones, only the first principal axes are used
SHORTENED = 256
CLUSTERS_PER_ROOT = 2  # clusters of an inverted file, per square root of the count
VECTORS_PER_CLUSTER = 39  # with fewer, FAISS warns that its k-means is unreliable
MANY_CLUSTERS = 2**14  # from this number on clusters are found by a graph, because comparing all would take too long
ID_BYTES = 8
STALE = 2  # a trained index is kept until the count has changed by this factor
RECALL = 0.98
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class SearchOptions:
    """The requested properties of a search.

    Args:
        recall: the share of the exact ten best matches that must be found; 1 for an exact index.
        memory: bytes that the search index may take; None for half of the machine's memory.
        factory: FAISS's factory string of an index to use in any case; None to choose one.
        gpu: `on`, `off`, or `auto`: if there is a GPU, the index is chosen for it and searched there.
    """

    recall: float = RECALL
    memory: int | None = None
    factory: str | None = None
    gpu: Gpu = "auto"


@dataclass(frozen=True)
class Measured:
    """The measured recall of the exact ten best, median time of one query, and bytes per vector in memory.

    Args:
        queries: how many descriptors were looked up; `query_source` names their source.
    """

    recall: float
    milliseconds: float
    bytes_per_vector: float
    queries: int
    query_source: str


@dataclass(frozen=True)
class Search:
    """How a generation is searched; an entry of its manifest.

    Args:
        reason: the reason for this index, in one sentence.
        requested: the options of the build, which later changes of the index apply again.
        trained_on: number of descriptors when the index was trained.
        parameters: of the search, by FAISS's names.
        measured: with these parameters; None for an exact index, which has none.
    """

    reason: str
    requested: SearchOptions = field(default_factory=SearchOptions)
    trained_on: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    measured: Measured | None = None


@dataclass(frozen=True)
class Choice:
    """A FAISS factory string, and the reason for it."""

    factory: str
    reason: str


def choose(count: int, dimension: int, asked: SearchOptions, gpu: bool = False) -> Choice:
    """The index for `count` descriptors of `dimension` numbers; see docs/reference/index-types.md.

    Args:
        gpu: choose for a GPU, which compares more in the same time, but supports fewer kinds of index.
    """
    if asked.factory is not None:
        return Choice(asked.factory, f"{asked.factory}, as requested with --index.")
    memory = machine_memory() // 2 if asked.memory is None else asked.memory
    exact_bytes = count * (4 * dimension + 2 * ID_BYTES)  # and the row numbers by which threads divide the work
    what = f"{count} descriptors of {dimension} numbers"
    fits = exact_bytes <= memory
    if count < FEWEST:
        note = "" if fits else f", although they take {size(exact_bytes)} of the allowed {size(memory)}"
        return Choice(EXACT, f"Exact (Flat): {what} are too few for another index{note}.")
    if fits and (count * dimension <= (GPU_NUMBERS if gpu else EXACT_NUMBERS) or asked.recall >= 1):
        why = "are few enough to be compared one by one" if asked.recall < 1 else f"fit {size(memory)} of memory"
        return Choice(EXACT, f"Exact (Flat): {what} {why}.")
    why = "would take long one by one" if fits else f"would take {size(exact_bytes)} of the allowed {size(memory)}"
    options = smaller(count, dimension, gpu)
    factory, width = next((one for one in options if count * (one[1] + 2 * ID_BYTES) <= memory), options[-1])
    taken = count * (width + 2 * ID_BYTES)
    note = "" if taken <= memory else ", the least possible"
    promise = "" if asked.recall < 1 else " and cannot guarantee to find all"
    return Choice(
        factory,
        f"{factory}: {what} {why}; this takes {size(taken)}{note}{promise}. Exact descriptors on disk decide.",
    )


def worth_a_gpu(count: int, dimension: int) -> bool:
    """Whether a search is long enough for a GPU, which serves one thread at a time; a CPU serves many at once."""
    return count * dimension > EXACT_NUMBERS


def still_fits(before: Search, factory: str, count: int, dimension: int, asked: SearchOptions) -> bool:
    """Whether an index that was trained for another number of descriptors is kept.

    It is if the requested options are the same, and the count has not changed by the factor STALE.
    """
    if asked != before.requested or not before.trained_on:
        return False
    if not before.trained_on / STALE <= count <= before.trained_on * STALE:
        return False
    if asked.factory is None and choose(count, dimension, asked).factory == EXACT:
        return False
    return factory != EXACT


def smaller(count: int, dimension: int, gpu: bool = False) -> list[tuple[str, int]]:
    """Factory strings of candidate indexes, from best to smallest, each with its bytes per vector without ids."""
    short = min(dimension, SHORTENED) if dimension > LONG else dimension
    clusters = 2 ** round(math.log2(CLUSTERS_PER_ROOT * math.sqrt(count)))
    while clusters > 1 and clusters * VECTORS_PER_CLUSTER > count:
        clusters //= 2
    if gpu:  # there are no 4-bit codes on a GPU, and no graph over the clusters
        codes = max(most for most in GPU_CODES if most <= max(1, short // 4))
        kept = short // codes * codes
        rotated = f"PCAR{kept}," if kept != dimension else ""
        return [(f"{rotated}IVF{clusters},PQ{codes}", codes)]
    parts = []
    for numbers in (2, 4):  # that one 4-bit code encodes
        codes = max(1, short // numbers)
        kept = min(short, codes * numbers)
        parts.append((f"OPQ{codes}_{kept},", f"PQ{codes}x4fs", math.ceil(codes / 2)))
    graph = "_HNSW32" if clusters >= MANY_CLUSTERS else ""
    return [(f"{rotated}IVF{clusters}{graph},{codes}", width) for rotated, codes, width in parts]


def parse_size(text: str) -> int:
    """Parses a size such as `500MB`, `2G` or `1.5 GiB` to bytes; units are powers of 1024.

    Raises:
        UsageError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None or not float(match[1]):
        raise UsageError(f"{text!r} is not a size of memory: write it as 500MB, 2GB or 1.5GB.")
    return int(float(match[1]) * UNITS[match[2]])


def size(amount: float) -> str:
    """A number of bytes as people read it."""
    power = min(4, int(math.log2(max(1.0, amount))) // 10)
    value = amount / 2 ** (10 * power)
    return f"{value:.{0 if power == 0 or value >= 100 else 1}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
