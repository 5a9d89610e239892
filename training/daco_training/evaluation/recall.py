"""Recall at k: for how many queries is one of the first k answers right."""

from collections.abc import Sequence

import torch
from torch import Tensor

from daco_core.recall import recall_at as recall_at_ranks

DIRECTIONS = ("a->b", "b->a", "a<->b")

Recalls = dict[int, float]
"""Rank k to the fraction of queries, 0..1."""


def recall_at(similarities: Tensor, correct: Tensor, ranks: Sequence[int]) -> Recalls:
    """R@k of queries against references; queries that no reference answers are left out, as is usual in the field.

    Args:
        similarities: (queries, references), the higher the closer.
        correct: (queries, references), True where the reference is right.
        ranks: the k.
    """
    order = similarities.topk(min(max(ranks), similarities.shape[1]), dim=1).indices
    return recall_at_ranks(correct.gather(1, order).cpu().numpy(), correct.any(dim=1).cpu().numpy(), ranks)


def aligned(pairs: int) -> Tensor:
    """(2 pairs, 2 pairs), True for partners: row i of domain a and row i of domain b, which comes after a."""
    partner = torch.arange(2 * pairs).roll(pairs)
    return torch.arange(2 * pairs)[:, None] == partner[None, :]


def domain_recalls(vectors: Tensor, correct: Tensor, first: int, ranks: Sequence[int]) -> dict[str, Recalls]:
    """The published protocol: `a->b` looks up each photograph of domain a among those of b, `b->a` the other way,
    `a<->b` each photograph of either domain among all others of both.

    Args:
        vectors: (n, dimension) L2-normalised descriptors, those of domain a first.
        correct: (n, n), True where two photographs show the same place; `aligned(n / 2)` for the published pairs.
        first: how many of the n are of domain a.

    Returns:
        Direction to recalls.
    """
    similarities = (vectors @ vectors.T).fill_diagonal_(float("-inf"))
    parts = directions(first)
    return {
        way: recall_at(similarities[rows, columns], correct[rows, columns], ranks)
        for way, (rows, columns) in parts.items()
    }


def query_counts(correct: Tensor, first: int) -> dict[str, int]:
    """Direction to how many queries `domain_recalls` counts there: those that a reference answers."""
    return {way: int(correct[rows, columns].any(dim=1).sum()) for way, (rows, columns) in directions(first).items()}


def directions(first: int) -> dict[str, tuple[slice, slice]]:
    """Direction to the rows of the queries and the columns of the references, domain a having the `first` ones."""
    a, b, both = slice(None, first), slice(first, None), slice(None)
    return dict(zip(DIRECTIONS, ((a, b), (b, a), (both, both)), strict=True))


def mean_first(recalls: dict[str, Recalls], ranks: Sequence[int]) -> float:
    """The mean of the directions' recall at the first rank, by which the best epoch is chosen."""
    return sum(values[min(ranks)] for values in recalls.values()) / len(recalls)
