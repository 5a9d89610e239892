"""Recall at k: the share of queries with a right answer among the first k. In NumPy, without PyTorch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daco_core.recall import recall_at as recall_at_ranks

DIRECTIONS = ("a->b", "b->a", "a<->b")

BLOCK = 256  # queries compared at once; with a million references, a gigabyte

Recalls = dict[int, float]
"""Rank k to the fraction of queries, 0..1."""

Rows = NDArray[np.int64]

SamePlace = Callable[[Rows, Rows], NDArray[np.bool_]]
"""Rows of queries and of references to (queries, references), True if both show the same place."""


def recall_at(similarities: ArrayLike, correct: ArrayLike, ranks: Sequence[int]) -> Recalls:
    """R@k of queries against references; queries without a right reference are not counted, as usual in the field.

    Args:
        similarities: (queries, references), higher is closer.
        correct: (queries, references), True if the reference is right.
        ranks: the values of k.
    """
    given, answers = np.asarray(similarities, np.float32), np.asarray(correct, np.bool_)
    order = best_first(given, min(max(ranks), given.shape[1]))
    return recall_at_ranks(np.take_along_axis(answers, order, axis=1), np.asarray(answers.any(axis=1)), ranks)


def best_first(similarities: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """The columns of the `depth` largest values in each row, largest first: (rows, depth)."""
    if depth >= similarities.shape[1]:
        return np.argsort(-similarities, axis=1, kind="stable")
    part = np.sort(np.argpartition(-similarities, depth, axis=1)[:, :depth], axis=1)
    order = np.argsort(-np.take_along_axis(similarities, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)


def aligned(pairs: int) -> SamePlace:
    """Row i of domain a and row i of domain b, which follows a, show the same place."""
    return lambda asking, asked: (asking[:, None] - asked) % (2 * pairs) == pairs


def domain_recalls(vectors: ArrayLike, same_place: SamePlace, first: int, ranks: Sequence[int]) -> dict[str, Recalls]:
    """The published protocol: `a->b` looks up each photograph of domain a among those of b; `b->a` the reverse;
    `a<->b` each photograph of either domain among all others of both.

    Queries are compared block by block, so memory grows with the photographs, not with their square.

    Args:
        vectors: (n, dimension) L2-normalised descriptors, those of domain a first.
        same_place: which of them show the same place; `aligned(n / 2)` for the published pairs.
        first: the number of photographs of domain a.

    Returns:
        Direction to recalls.
    """
    given = np.asarray(vectors, np.float32)
    rows = np.arange(len(given))
    recalls = {}
    for way, (asking, asked) in directions(first).items():
        references, columns = given[asked].T, rows[asked]
        depth = min(max(ranks), len(columns))
        right, answerable = [], []
        for block in blocks(rows[asking]):
            correct, itself = answers_of(same_place, block, columns)
            similarities = given[block] @ references
            similarities[itself] = -np.inf
            right.append(np.take_along_axis(correct, best_first(similarities, depth), axis=1))
            answerable.append(correct.any(axis=1))
        recalls[way] = recall_at_ranks(np.concatenate(right), np.concatenate(answerable), ranks)
    return recalls


def query_counts(same_place: SamePlace, first: int, images: int) -> dict[str, int]:
    """Direction to the number of queries that `domain_recalls` counts: those with a right reference."""
    rows = np.arange(images)
    return {
        way: sum(int(answers_of(same_place, block, rows[asked])[0].any(axis=1).sum()) for block in blocks(rows[asking]))
        for way, (asking, asked) in directions(first).items()
    }


def blocks(rows: Rows) -> Iterator[Rows]:
    """Splits rows into blocks of `BLOCK`."""
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def answers_of(same_place: SamePlace, asking: Rows, asked: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(asking, asked) each: whether the reference is a right answer, and whether it is the query itself."""
    itself = asking[:, None] == asked
    return same_place(asking, asked) & ~itself, itself


def directions(first: int) -> dict[str, tuple[slice, slice]]:
    """Direction to the rows of the queries and the columns of the references; domain a has the `first` ones."""
    a, b, both = slice(None, first), slice(first, None), slice(None)
    return dict(zip(DIRECTIONS, ((a, b), (b, a), (both, both)), strict=True))


def mean_first(recalls: dict[str, Recalls], ranks: Sequence[int]) -> float:
    """The mean recall of all directions at the first rank, by which the best epoch is chosen."""
    return sum(values[min(ranks)] for values in recalls.values()) / len(recalls)
