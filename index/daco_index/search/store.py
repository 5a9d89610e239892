"""What any engine for nearest vectors offers to the rest of the system."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class VectorStore(Protocol):
    """Descriptors of length 1 under integer ids, searched by inner product.

    Any number of threads may search at once; adding and removing is for one thread, while nobody searches.
    """

    @property
    def address(self) -> str:
        """Where the vectors are: `faiss` in this process, or the address of a server."""

    @property
    def count(self) -> int:
        """How many vectors it holds."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        """Takes in vectors (n, dimension) under ids (n,) that it does not hold yet."""

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Forgets the vectors under these ids (n,); ids that it does not hold are passed over."""

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k most similar to each of (q, dimension): similarities (q, k), falling, and ids (q, k), -1 where none."""

    def ids(self) -> NDArray[np.int64]:
        """Every id that it holds: (n,), in no promised order; one that were there twice comes twice."""

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors under these ids (n,), as the store keeps them: (n, dimension). Raises KeyError for another id."""

    def save(self, path: Path) -> None:
        """Writes to one file what `load` needs: everything, or where it is. Raises OSError, StoreAway."""

    def check(self) -> None:
        """Raises StoreAway or DamagedIndex where it would not answer a search now."""
