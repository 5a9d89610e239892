"""Measures recall and time of a store's search for each setting, and chooses one."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import UsageError
from daco_index.search.index_choice import Measured
from daco_index.search.stores.faiss import FaissStore, inner

K = 10  # recall refers to the exact ten best
K_FACTORS = (2, 5, 10, 20, 30, 40, 80)
EFFORTS = tuple(sorted({round(2 ** (power / 2)) for power in range(25)}))
SURE = 1.645  # standard errors: the lower bound of a one-sided 95 % confidence interval
LEAST_EF = 16
SPARE = 2  # how many vectors the searched lists contain on average, per candidate
SAMPLED = 256
OWN = "the index's own descriptors, shifted as from day to night"
# night as EfficientNet-Lite0 sees it on street photographs: the cosine between the means of the two conditions, and
# what a descriptor's deviation from its mean keeps
CONDITIONS = 0.89
KEPT = 0.5


Lookup = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]


@dataclass(frozen=True)
class OperatingPoint:
    """One setting of the search, measured.

    Args:
        parameters: by FAISS's names; and `k_factor`, the number of candidates per answer.
        recall: the share of the exact ten best that was found.
        surely: a lower bound of the recall for other queries of this kind, with 95 % confidence.
        milliseconds: the median time of one query.
    """

    parameters: dict[str, int]
    recall: float
    surely: float
    milliseconds: float


@dataclass(frozen=True)
class Queries:
    """Descriptors to look up, and the correct results.

    Args:
        vectors: (q, dimension).
        source: what they were computed from.
        truth: (q, k), the ids of the exact best.
    """

    vectors: NDArray[np.float32]
    source: str
    truth: NDArray[np.int64]


def queries_for(store: FaissStore, vectors: NDArray[np.float32], source: str) -> Queries:
    """Descriptors (q, dimension) as queries, with the correct results by exact search."""
    return Queries(vectors, source, store.search_exactly(vectors, min(K, store.count))[1])


def own_queries(store: FaissStore, count: int = SAMPLED) -> Queries:
    """Some of the store's own descriptors, shifted as in another condition; always the same ones.

    Unshifted, each would lie in the centre of its correct results, and any index would look good.
    """
    random = np.random.default_rng(0)
    ids = store.ids()
    sample = store.vectors(np.sort(random.choice(ids, min(16 * count, len(ids)), replace=False)))
    mean = sample.mean(axis=0)
    deviations = random.permutation(sample) - mean
    length = float(np.linalg.norm(mean))
    aside = deviations[0] - mean * (deviations[0] @ mean) / max(length**2, 1e-12)
    aside *= length / max(float(np.linalg.norm(aside)), 1e-12)
    moved = CONDITIONS * mean + math.sqrt(1 - CONDITIONS**2) * aside
    vectors = moved + KEPT * deviations[:count] + math.sqrt(1 - KEPT**2) * np.roll(deviations, 1, axis=0)[:count]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return queries_for(store, vectors.astype(np.float32), OWN)


def measure(store: FaissStore, queries: Queries, parameters: dict[str, int]) -> OperatingPoint:
    """Sets these parameters, and measures the recall of all queries and the median time of one."""
    store.tune(parameters)
    found, milliseconds = one_by_one(store.search, queries.vectors, queries.truth.shape[1])
    return OperatingPoint(parameters, recall_of(found, queries.truth), surely(found, queries.truth), milliseconds)


def one_by_one(search: Lookup, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], float]:
    """Looks up each of (q, dimension) singly: the ids found, (q, k), and the median milliseconds of one query."""
    found = np.empty((len(vectors), k), dtype=np.int64)
    seconds = []
    for row in range(len(found)):
        start = time.perf_counter()
        _, ids = search(vectors[row : row + 1], k)
        seconds.append(time.perf_counter() - start)
        found[row] = ids[0]
    return found, 1000 * float(np.median(seconds))


def curve(store: FaissStore, queries: Queries, enough: float = 1.0) -> Iterator[OperatingPoint]:
    """Measures the settings of the store's index, cheap ones first for each `k_factor`.

    Args:
        enough: when this recall is reached with confidence, slower settings are not tried.
    """
    effort = effort_of(store)
    name, most = effort if effort else ("", 1)
    for k_factor in K_FACTORS:
        # fewer lists than this contain too few candidates, and the search would fall back on comparing every vector
        least = SPARE * k_factor * K * most / store.count if name == "nprobe" else LEAST_EF
        efforts = [value for value in EFFORTS if least <= value <= most] or [most]
        best = 0.0
        for value in efforts:
            point = measure(store, queries, {**({name: value} if effort else {}), "k_factor": k_factor})
            yield point
            # the rest is lost in the choice of candidates, so only more of them can help
            stuck = point.recall > 0.5 and point.recall - best < 1e-3 and value > 4 * efforts[0]
            best = max(best, point.recall)
            if point.surely >= enough or stuck:
                break
        if k_factor * K >= store.count:
            return


def pick(points: Sequence[OperatingPoint], recall: float) -> OperatingPoint:
    """The fastest point whose lower bound reaches the recall; if none does, the one with the highest recall."""
    enough = [point for point in points if point.surely >= recall]
    if enough:
        return min(enough, key=lambda point: point.milliseconds)
    return max(points, key=lambda point: (point.recall, -point.milliseconds))


def measured(store: FaissStore, point: OperatingPoint, queries: Queries) -> Measured:
    """A point in the form of the manifest."""
    return Measured(
        round(point.recall, 4),
        round(point.milliseconds, 4),
        round(store.bytes_per_vector, 1),
        len(queries.vectors),
        queries.source,
    )


def effort_of(store: FaissStore) -> tuple[str, int] | None:
    """FAISS's name for the parameter that trades speed for recall, and its useful maximum; None if there is none."""
    if store.candidates is None:
        raise UsageError("The index is exact: there is nothing to tune.")
    index = inner(store.candidates)
    if hasattr(index, "nprobe"):
        return "nprobe", int(index.nlist)
    if hasattr(index, "hnsw"):
        return "efSearch", max(16, min(store.count, 2048))
    return None


def recall_of(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """The share of the ids in each row of `truth` that are in the same row of `found`."""
    return float(_shares(found, truth).mean()) if truth.size else 0.0


def surely(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """A lower bound of `recall_of`, with 95 % confidence, for other queries of the same kind."""
    shares = _shares(found, truth)
    if len(shares) < 2:
        return 0.0
    return float(shares.mean() - SURE * shares.std(ddof=1) / math.sqrt(len(shares)))


def _shares(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each row of `truth`, the share of its ids that are in the same row of `found`."""
    hits = [len(np.intersect1d(one, other)) for one, other in zip(found, truth, strict=True)]
    shares: NDArray[np.float64] = np.array(hits, dtype=np.float64) / max(1, truth.shape[1])
    return shares
