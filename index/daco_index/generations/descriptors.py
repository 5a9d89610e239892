"""The descriptors of a generation that is to be written, each from where it is: just made, or in a finished store."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daco_index.search.store import VectorStore

Ids = Sequence[int] | NDArray[np.int64]


class Descriptors:
    """Descriptors under the ids that they will have; those in a store are fetched only when they are asked for.

    Args:
        dimension: the length of a descriptor.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | VectorStore]] = []

    def make(self, ids: Ids, vectors: NDArray[np.float32]) -> None:
        """Takes in vectors (n, dimension) for n ids."""
        self._take(ids, np.arange(len(ids)), vectors)

    def hold(self, ids: Ids, store: VectorStore, there: Ids | None = None) -> None:
        """Takes in that a store has the vectors of n ids, under `there` if under other ids."""
        self._take(ids, ids if there is None else there, store)

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of ids (n,): (n, dimension). Raises KeyError for an id of which nothing was said."""
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)
        found = np.zeros(len(ids), dtype=bool)
        for known, there, source in self._parts:
            place = np.searchsorted(known, ids)
            hits = np.flatnonzero(known[np.minimum(place, len(known) - 1)] == ids)
            if len(hits):
                rows = there[place[hits]]
                vectors[hits] = source[rows] if isinstance(source, np.ndarray) else source.vectors(rows)
                found[hits] = True
        if not found.all():
            raise KeyError(int(ids[~found][0]))
        return vectors

    def _take(self, ids: Ids, there: Ids, source: NDArray[np.float32] | VectorStore) -> None:
        if len(ids):
            numbers = np.asarray(ids, dtype=np.int64)
            order = np.argsort(numbers)
            self._parts.append((numbers[order], np.asarray(there, dtype=np.int64)[order], source))
