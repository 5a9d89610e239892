"""Exact search: compares every vector, in memory laid out for speed."""

from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

ALONE = 2**21  # numbers that one thread compares in a quarter of a millisecond; for fewer, waking others costs more
LINE = 64  # bytes of a cache line: vectors aligned to one are compared faster


class Exact:
    """Vectors that are all compared with each query.

    FAISS compares one query in one thread, whatever the index; here all threads share the vectors of a large store.

    Args:
        vectors: (n, dimension); not copied.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Like `faiss.Index.search`: inner products and rows, (q, k) each, best first; -1 for missing rows."""
        if len(queries) != 1 or k >= len(self.vectors):
            return faiss.knn(queries, self.vectors, k, faiss.METRIC_INNER_PRODUCT)  # type: ignore[no-any-return]
        compare = self._by_one_thread if self.vectors.size <= ALONE else self._by_all_threads
        similarities = compare(queries)
        best = np.argpartition(similarities, -k)[-k:]
        best = best[np.argsort(-similarities[best])]
        return similarities[best][None], best[None]

    def _by_one_thread(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        similarities = np.empty(len(self.vectors), dtype=np.float32)
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined]
            faiss.swig_ptr(similarities),
            faiss.swig_ptr(np.ascontiguousarray(query)),
            faiss.swig_ptr(self.vectors),
            query.shape[1],
            len(self.vectors),
        )
        return similarities

    def _by_all_threads(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        threads, share = self._shares.shape
        shared = np.empty((threads, share), dtype=np.float32)
        copies = np.repeat(query, threads, axis=0)  # a reference is kept here, because FAISS takes bare pointers
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
            faiss.swig_ptr(shared),
            faiss.swig_ptr(copies),
            faiss.swig_ptr(self.vectors),
            faiss.swig_ptr(self._shares),
            query.shape[1],
            threads,
            share,
        )
        return shared.ravel()[: len(self.vectors)]

    @cached_property
    def _shares(self) -> NDArray[np.int64]:
        """The rows that each thread compares: (threads, share), padded with -1."""
        threads = faiss.omp_get_max_threads()
        share = -(-len(self.vectors) // threads)
        rows = np.arange(threads * share)
        rows[len(self.vectors) :] = -1
        return rows.reshape(threads, share)


def in_large_pages(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that begins on a cache line, in large pages if the system has them, for which NumPy asks by itself."""
    spare = np.empty(vectors.size + LINE // vectors.itemsize, dtype=vectors.dtype)
    start = -spare.ctypes.data % LINE // spare.itemsize
    copy = spare[start : start + vectors.size].reshape(vectors.shape)
    np.copyto(copy, vectors)
    return copy
