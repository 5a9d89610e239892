"""Figures that may explain a low recall: the offset between the domains, hubs, and recall on the training photographs.

A hub is a reference that is the first match of many queries (Radovanovic et al., JMLR 2010).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from daco_bench.recall.retrieval import Retrieval
from daco_bench.recall.task import Task
from daco_bench.reproduction.outcome import Outcome


def centred_recalls(
    task: Task, answers: Sequence[Retrieval], outcomes: Sequence[Outcome], rank: int
) -> dict[str, tuple[float, float]]:
    """Direction to R@rank in percent, without and with subtraction of each domain's mean descriptor."""
    domains = task.directions["a->b"]
    found: dict[str, list[float]] = {way: [] for way in task.directions}
    for one in outcomes:
        vectors = one.descriptors.copy()
        for domain in domains:
            vectors[domain] -= vectors[domain].mean(axis=0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for way in task.directions:
            found[way].append(100 * task.rank(vectors, one.contender, way, rank).recall(rank))
    plain = {one.direction: 100 * one.recall(rank) for one in answers}
    return {way: (plain[way], mean(values)) for way, values in found.items()}


def largest_hubs(answers: Sequence[Retrieval], seeds: int) -> dict[str, float]:
    """Direction to the share of queries, in percent and the mean over seeds, whose first match is the largest hub.

    Args:
        answers: those of all seeds, concatenated.
    """
    return {
        one.direction: mean(100 * np.bincount(first).max() / len(first) for first in np.split(one.order[:, 0], seeds))
        for one in answers
    }


def recalls_in_training(
    answers: Sequence[Retrieval], outcomes: Sequence[Outcome], rank: int
) -> dict[str, tuple[float, float]] | None:
    """Direction to R@rank in percent, of training and of validation photographs; None if a run did not measure it."""
    known = [one.training_recalls for one in outcomes if one.training_recalls is not None]
    if len(known) < len(outcomes):
        return None
    return {
        one.direction: (mean(of_seed[one.direction][f"R@{rank}"] for of_seed in known), 100 * one.recall(rank))
        for one in answers
    }


def mean(values: Iterable[float]) -> float:
    """The mean, to two places."""
    listed = list(values)
    return round(sum(listed) / len(listed), 2)
