"""Recall at k: the share of queries with a right answer among the first k."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def hits_at(right: NDArray[np.bool_], answerable: NDArray[np.bool_], rank: int) -> NDArray[np.bool_]:
    """For each query that can be answered, whether one of the first `rank` answers is right.

    Args:
        right: (queries, depth), whether each answer, best first, shows the query's place.
        answerable: (queries,), whether any reference shows it; other queries are not counted, as usual in the field.
    """
    return np.asarray(right[answerable, :rank].any(axis=1))


def recall_at(right: NDArray[np.bool_], answerable: NDArray[np.bool_], ranks: Sequence[int]) -> dict[int, float]:
    """R@k, 0..1, for each k of `ranks`; 0 if no query can be answered. The arguments are those of `hits_at`."""
    return {rank: float(hits_at(right, answerable, rank).mean()) if answerable.any() else 0.0 for rank in ranks}
