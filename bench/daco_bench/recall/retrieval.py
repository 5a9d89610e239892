"""What one encoder answers to the queries of a benchmark: from it come the recalls, the tests and the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.recall import hits_at, recall_at

DEPTH = 100  # answers kept for each query where no more are asked for


@dataclass(frozen=True)
class Nearest:
    """Of each query, the most similar of the photographs that show its place: what should have been found.

    Args:
        images: (queries,) its number among the images; -1 where none shows the place.
        scores: (queries,) its similarity, cosine, -1..1; -inf where there is none.
        ranks: (queries,) its rank among all that were asked, from 1; 0 where there is none.
    """

    images: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int64]


@dataclass(frozen=True)
class Retrieval:
    """The ranked answers of one encoder to all queries of one direction.

    Args:
        method: what answered.
        direction: `a->b`, `b->a`, `a<->b`, or `QUERIES->DATABASE`.
        queries: the photographs that ask.
        images: the photographs that are numbered in `order`.
        order: (queries, depth) the images found for each query, best first.
        scores: (queries, depth) their similarity, cosine, -1..1.
        right: (queries, depth) whether they show the query's place.
        answerable: (queries,) whether any photograph that was asked shows the query's place; the others do not count.
        groups: (queries,) a number that queries of the same place share; they are not independent of each other.
        nearest: the right answers, wherever they rank.
        first_stage: the method whose first candidates were ranked again; None for the answers of an encoder itself.
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
        """How many queries count."""
        return int(self.answerable.sum())

    def hits(self, rank: int) -> NDArray[np.bool_]:
        """(count,) whether one of the first `rank` answers is right."""
        return hits_at(self.right, self.answerable, rank)

    def recall(self, rank: int) -> float:
        """R@rank, 0..1; 0 where no query counts."""
        return recall_at(self.right, self.answerable, [rank])[rank]

    def first(self, query: int) -> Path:
        """The photograph found first for the query of that number."""
        return self.images[int(self.order[query, 0])]


def mean_recall(retrievals: Sequence[Retrieval], rank: int) -> float:
    """The mean over directions of R@rank, 0..1, by which the published code compares."""
    return sum(retrieval.recall(rank) for retrieval in retrievals) / len(retrievals)
