"""The interface of all vector stores."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class VectorStore(Protocol):
    """Descriptors of length 1 under integer ids, searched by inner product.

    Any number of threads may search at once; only one thread may add or remove, and only while no other searches.
    """

    @property
    def address(self) -> str:
        """Where the vectors are: `faiss` for this process, or the address of a server."""

    @property
    def count(self) -> int:
        """The number of vectors."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Adds vectors (n, dimension) under ids (n,) that are not in the store yet."""

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Removes the vectors with these ids (n,); unknown ids are ignored."""

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k most similar vectors for each of (q, dimension): similarities and ids, both (q, k), best first.

        Missing ids are -1.
        """

    def ids(self) -> NDArray[np.int64]:
        """Every id: (n,), in any order; an id that is stored twice occurs twice."""

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors with these ids (n,), as stored: (n, dimension). Raises KeyError for an unknown id."""

    def save(self, path: Path) -> None:
        """Writes a file from which `load` restores it: the vectors, or their address. Raises OSError, StoreAway."""

    def check(self) -> None:
        """Raises StoreAway or DamagedIndex if it could not answer a search now."""
