"""Vectors in FAISS, in this process's memory: the default store."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from training.errors import DacoError


class FaissStore:
    """A `VectorStore` over a FAISS index that holds its own ids.

    Args:
        index: an IndexIDMap2; `FaissStore.create` makes an empty one.
    """

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def create(cls, dimension: int, factory: str) -> "FaissStore":
        """An empty store by FAISS's name for it (`IDMap2,Flat`: exact, every vector compared)."""
        return cls(faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT))

    @classmethod
    def load(cls, path: Path) -> "FaissStore":
        """The store in a file.

        Raises:
            DacoError: the file cannot be read, or is no such store.
        """
        try:
            return cls(faiss.read_index(str(path)))
        except RuntimeError as error:
            raise DacoError(f"{path} is not an index that FAISS can read: {_short(error)}") from error

    @property
    def count(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        return int(self._index.d)

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(ids, dtype=np.int64))

    def remove(self, ids: NDArray[np.int64]) -> None:
        self._index.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64)))

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        similarities, ids = self._index.search(np.ascontiguousarray(vectors, dtype=np.float32), k)
        return similarities, ids

    def ids(self) -> NDArray[np.int64]:
        index: Any = self._index  # an IndexIDMap2, which FAISS's own annotations call an Index
        ids: NDArray[np.int64] = faiss.vector_to_array(index.id_map)
        return ids

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        if not len(ids):
            return np.empty((0, self.dimension), dtype=np.float32)
        if len(missing := np.setdiff1d(ids, self.ids())):
            raise KeyError(int(missing[0]))
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(np.ascontiguousarray(ids, dtype=np.int64))
        return vectors

    def save(self, path: Path) -> None:
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(f"FAISS could not write {path.name}: {_short(error)}") from error


def _short(error: RuntimeError) -> str:
    """FAISS's message without the C++ source line that it begins with."""
    return str(error).split(": Error: ")[-1].split(": ", 1)[-1].strip()
