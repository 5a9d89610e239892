"""Recall at k: for how many queries is one of the first k answers right."""

from collections.abc import Sequence

import torch
from torch import Tensor

DIRECTIONS = ("a->b", "b->a", "a<->b")

Recalls = dict[int, float]
"""Rank k to the fraction of queries, 0..1."""


def recall_at(similarities: Tensor, correct: Tensor, ranks: Sequence[int]) -> Recalls:
    """R@k of queries against references.

    Args:
        similarities: (queries, references), the higher the closer.
        correct: (queries, references), True where the reference is right. A query without any counts as missed.
        ranks: the k.
    """
    order = similarities.topk(min(max(ranks), similarities.shape[1]), dim=1).indices
    right = correct.gather(1, order)
    return {k: right[:, :k].any(dim=1).double().mean().item() for k in ranks}


def domain_recalls(vectors_a: Tensor, vectors_b: Tensor, ranks: Sequence[int]) -> dict[str, Recalls]:
    """The published protocol on aligned pairs: row i of both domains is the same place.

    `a->b` looks up each photograph of a among those of b, `b->a` the other way, `a<->b` each photograph of either
    domain among all others of both.

    Args:
        vectors_a, vectors_b: (pairs, dimension) L2-normalised descriptors.

    Returns:
        Direction to recalls.

    Raises:
        ValueError: the domains are not of one length.
    """
    if len(vectors_a) != len(vectors_b):
        raise ValueError(f"{len(vectors_a)} and {len(vectors_b)} descriptors do not pair up")
    pairs = torch.eye(len(vectors_a), dtype=torch.bool, device=vectors_a.device)
    across = vectors_a @ vectors_b.T
    everything = torch.cat([vectors_a, vectors_b])
    similarities = (everything @ everything.T).fill_diagonal_(float("-inf"))
    return {
        "a->b": recall_at(across, pairs, ranks),
        "b->a": recall_at(across.T, pairs, ranks),
        "a<->b": recall_at(similarities, pairs.repeat(2, 2).fill_diagonal_(False), ranks),
    }


def mean_first(recalls: dict[str, Recalls], ranks: Sequence[int]) -> float:
    """The mean of the directions' recall at the first rank, by which the best epoch is chosen."""
    return sum(values[min(ranks)] for values in recalls.values()) / len(recalls)
