"""Recall at k: for how many queries is one of the first k answers right."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daco_core.recall import recall_at as recall_at_ranks

DIRECTIONS = ("a->b", "b->a", "a<->b")

BLOCK = 256  # queries that are compared at once: with a million references, a gigabyte

Recalls = dict[int, float]
"""Rank k to the fraction of queries, 0..1."""

Rows = NDArray[np.int64]

SamePlace = Callable[[Rows, Rows], NDArray[np.bool_]]
"""Rows that ask and rows that are asked to (asking, asked), True where both show the same place."""


def recall_at(similarities: Tensor, correct: Tensor, ranks: Sequence[int]) -> Recalls:
    """R@k of queries against references; queries that no reference answers are left out, as is usual in the field.

    Args:
        similarities: (queries, references), the higher the closer.
        correct: (queries, references), True where the reference is right.
        ranks: the k.
    """
    order = similarities.topk(min(max(ranks), similarities.shape[1]), dim=1).indices
    return recall_at_ranks(correct.gather(1, order).cpu().numpy(), correct.any(dim=1).cpu().numpy(), ranks)


def aligned(pairs: int) -> SamePlace:
    """Partners show the same place: row i of domain a and row i of domain b, which comes after a."""
    return lambda asking, asked: (asking[:, None] - asked) % (2 * pairs) == pairs


def domain_recalls(vectors: Tensor, same_place: SamePlace, first: int, ranks: Sequence[int]) -> dict[str, Recalls]:
    """The published protocol: `a->b` looks up each photograph of domain a among those of b, `b->a` the other way,
    `a<->b` each photograph of either domain among all others of both.

    Queries are compared block by block, so memory grows with the photographs, not with their square.

    Args:
        vectors: (n, dimension) L2-normalised descriptors, those of domain a first.
        same_place: which of them show the same place; `aligned(n / 2)` for the published pairs.
        first: how many of the n are of domain a.

    Returns:
        Direction to recalls.
    """
    rows = np.arange(len(vectors))
    recalls = {}
    for way, (asking, asked) in directions(first).items():
        references, columns = vectors[asked].T, rows[asked]
        depth = min(max(ranks), len(columns))
        right, answerable = [], []
        for block in blocks(rows[asking]):
            correct, itself = answers_of(same_place, block, columns)
            similarities = (vectors[torch.from_numpy(block)] @ references).cpu()
            similarities[torch.from_numpy(itself)] = float("-inf")
            right.append(np.take_along_axis(correct, similarities.topk(depth, dim=1).indices.numpy(), axis=1))
            answerable.append(correct.any(axis=1))
        recalls[way] = recall_at_ranks(np.concatenate(right), np.concatenate(answerable), ranks)
    return recalls


def query_counts(same_place: SamePlace, first: int, images: int) -> dict[str, int]:
    """Direction to how many queries `domain_recalls` counts there: those that a reference answers."""
    rows = np.arange(images)
    return {
        way: sum(int(answers_of(same_place, block, rows[asked])[0].any(axis=1).sum()) for block in blocks(rows[asking]))
        for way, (asking, asked) in directions(first).items()
    }


def blocks(rows: Rows) -> Iterator[Rows]:
    """Rows, `BLOCK` at a time."""
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def answers_of(same_place: SamePlace, asking: Rows, asked: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(asking, asked) each: which are right answers, and which are the photograph itself, which never is."""
    itself = asking[:, None] == asked
    return same_place(asking, asked) & ~itself, itself


def directions(first: int) -> dict[str, tuple[slice, slice]]:
    """Direction to the rows of the queries and the columns of the references, domain a having the `first` ones."""
    a, b, both = slice(None, first), slice(first, None), slice(None)
    return dict(zip(DIRECTIONS, ((a, b), (b, a), (both, both)), strict=True))


def mean_first(recalls: dict[str, Recalls], ranks: Sequence[int]) -> float:
    """The mean of the directions' recall at the first rank, by which the best epoch is chosen."""
    return sum(values[min(ranks)] for values in recalls.values()) / len(recalls)
