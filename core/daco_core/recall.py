"""Recall at k: for how many queries one of the first k answers is right."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def hits_at(right: NDArray[np.bool_], answerable: NDArray[np.bool_], rank: int) -> NDArray[np.bool_]:
    """Of the queries that can be answered, whether one of the first `rank` answers is right.

    Args:
        right: (queries, depth) whether each answer, best first, shows the query's place.
        answerable: (queries,) whether any reference does; other queries do not count, as is usual in the field.
    """
    return np.asarray(right[answerable, :rank].any(axis=1))


def recall_at(right: NDArray[np.bool_], answerable: NDArray[np.bool_], ranks: Sequence[int]) -> dict[int, float]:
    """R@k, 0..1, for each k of `ranks`; 0 where no query can be answered. The arguments are those of `hits_at`."""
    return {rank: float(hits_at(right, answerable, rank).mean()) if answerable.any() else 0.0 for rank in ranks}
