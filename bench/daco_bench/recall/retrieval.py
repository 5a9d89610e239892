"""The ranked answers of one encoder to the queries of a benchmark, from which recalls, tests and figures are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.recall import hits_at, recall_at

DEPTH = 100  # the default number of answers kept for each query


@dataclass(frozen=True)
class Nearest:
    """For each query, the most similar photograph of its place: the answer that should have been found.

    Args:
        images: (queries,) its number among the images; -1 if none shows the place.
        scores: (queries,) its cosine similarity, -1..1; -inf if there is none.
        ranks: (queries,) its rank among all references, from 1; 0 if there is none.
    """

    images: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """The ranked answers of one encoder to all queries of one direction.

    Args:
        method: the method that gave the answers.
        direction: `a->b`, `b->a`, `a<->b`, or `QUERIES->DATABASE`.
        queries: the query photographs.
        images: the photographs to which the numbers in `order` refer.
        order: (queries, depth) the images found for each query, best first.
        scores: (queries, depth) their cosine similarity, -1..1.
        right: (queries, depth) whether they show the query's place.
        answerable: (queries,) whether any reference shows the query's place; other queries are not counted.
        groups: (queries,) a number that queries of the same place share, because they are not independent.
        nearest: the right answers, whatever their rank.
        first_stage: the method whose candidates were re-ranked; None for answers without re-ranking.
    """

    method: str
    direction: str
    queries: list[Path]
    images: list[Path]
    order: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    answerable: NDArray[np.bool_]
    groups: NDArray[np.int64]
    nearest: Nearest
    first_stage: str | None = None

    @property
    def count(self) -> int:
        """The number of queries that count."""
        return int(self.answerable.sum())

    def hits(self, rank: int) -> NDArray[np.bool_]:
        """(count,) whether one of the first `rank` answers is right."""
        return hits_at(self.right, self.answerable, rank)

    def recall(self, rank: int) -> float:
        """R@rank, 0..1; 0 if no query counts."""
        return recall_at(self.right, self.answerable, [rank])[rank]

    def first(self, query: int) -> Path:
        """The first match of a query, by the query's number."""
        return self.images[int(self.order[query, 0])]


def mean_recall(retrievals: Sequence[Retrieval], rank: int) -> float:
    """The mean of R@rank over the directions, 0..1, which the published code uses for comparison."""
    return sum(retrieval.recall(rank) for retrieval in retrievals) / len(retrievals)
