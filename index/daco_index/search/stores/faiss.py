"""Vectors in FAISS, in this process's memory: the default store."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from daco_core.errors import DamagedIndex, UsageError, reason_of
from daco_index.search.held_file import HeldFile
from daco_index.search.index_choice import EXACT
from daco_index.search.stores.address import FAISS
from daco_index.search.stores.exact import Exact, in_large_pages
from daco_index.search.stores.gpu import GPU_MOST, move_there, train_there
from daco_index.search.stores.rotation import set_rotation

CANDIDATES_SUFFIX = ".candidates.faiss"
WIDTH = 10  # candidates are selected for at least this many answers, so that the best of a few is not missed
TRAINED_ON = 64  # vectors per cluster for training a candidate index; FAISS's own default is up to 256
LEAST_TRAINED_ON = 65536
ADDED_AT_ONCE = 65536
WRITTEN_AT_ONCE = 2**20  # bytes
# how FAISS searches an inverted file of 4-bit codes (`implem`): by default, one thread for each query; or each query by
# all threads, list by list, with a reservoir of candidates (14 uses a heap, which is slower)
AS_IT_LIKES, ALL_AT_ONE = 0, 15


class FaissStore:
    """A `VectorStore` that holds the exact vectors, and searches all of them, or candidates first.

    Exact: every vector is compared. With a candidate index, which is smaller and faster, that index selects `k_factor`
    times as many vectors as requested, and the exact vectors rank them. So similarities are exact in any case, nothing
    is lost from generation to generation, and the exact vectors may stay on disk, mapped into memory.

    Args:
        exact: an IndexIDMap over an IndexFlatIP; `FaissStore.create` makes an empty one.
        candidates: an index of the same vectors in the same order, numbered from 0.
        file: the file from which the exact vectors are mapped, so that they cannot grow; None if they are in memory.
    """

    address = FAISS

    def __init__(
        self, exact: faiss.IndexIDMap, candidates: faiss.Index | None = None, file: HeldFile | None = None
    ) -> None:
        self.candidates = candidates
        self.file = file
        self._k_factor = 1
        self._searched: Any
        self._lists: Any  # the candidates' inverted file if it has 4-bit codes
        self._on_gpu: tuple[faiss.Index, Any] | None
        self._turn: AbstractContextManager[Any]  # held while searching on a GPU, by one thread at a time
        self._hold(exact)

    @classmethod
    def create(cls, dimension: int, count: int = 0) -> "FaissStore":
        """An empty store, exact until `arrange` is called.

        Args:
            count: vectors that it will hold; if memory grew with them, they would be in memory twice at times.
        """
        flat = faiss.IndexFlatIP(dimension)
        flat.codes.resize(count * flat.code_size)
        flat.codes.resize(0)  # the memory stays reserved
        return cls(faiss.IndexIDMap(flat))

    @classmethod
    def load(cls, path: Path, candidates: bool = False) -> "FaissStore":
        """The store in a file.

        Args:
            candidates: whether there is a candidate index next to it; the exact vectors then stay on disk, mapped.

        Raises:
            DamagedIndex: a file cannot be read, or is not such a store.
        """
        exact = _read(path, faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(exact, faiss.IndexIDMap | faiss.IndexIDMap2):
            raise DamagedIndex(f"{path} was not written by daco-index: it has no ids.")
        try:
            return cls(exact, _read(candidates_file(path)) if candidates else None, HeldFile(path))
        except OSError as error:
            raise DamagedIndex(f"{path} cannot be read: {reason_of(error)}.") from error
        except RuntimeError as error:
            raise DamagedIndex(f"{candidates_file(path)} does not belong to {path.name}: {_short(error)}") from error

    @property
    def count(self) -> int:
        return int(self._flat.ntotal)

    @property
    def dimension(self) -> int:
        return int(self._flat.d)

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        if self.file is not None:
            self._hold(self._copy(np.arange(self.count)))
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        self._exact.add_with_ids(rows, np.asarray(ids, dtype=np.int64))
        if self.candidates is not None:
            self.candidates.add(rows)
        self._hold(self._exact)

    def remove(self, ids: NDArray[np.int64]) -> None:
        staying = self._copy(np.flatnonzero(~np.isin(self._ids, ids)))
        if self.candidates is not None:
            FaissStore(staying)._fill(self.candidates, 0, progress=False)
        self._hold(staying)

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        self.check()
        wanted = np.ascontiguousarray(vectors, dtype=np.float32)
        width = max(k, min(WIDTH, self.count))
        if k > self.count or (self._on_gpu is not None and width > GPU_MOST):
            return self.search_exactly(wanted, k)
        if self.candidates is None:
            with self._turn:
                similarities, rows = self._searched.search(wanted, k)
            return similarities, self._named(rows)
        if self._lists is not None:
            # other threads may set it in the meantime: the result is the same, only the time differs
            self._lists.implem = ALL_AT_ONE if len(wanted) == 1 else AS_IT_LIKES
        with self._turn:
            if self._on_gpu is not None:
                self._searched.k_factor = min(self._k_factor, GPU_MOST // width)
            similarities, rows = self._searched.search(wanted, width)
        similarities, ids = similarities[:, :k], self._named(rows[:, :k])
        short = ids[:, -1] < 0
        if short.any():  # fewer candidates than requested
            similarities[short], ids[short] = self.search_exactly(wanted[short], k)
        return similarities, ids

    def search_exactly(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Like `search`, but compares every vector: the ground truth for the recall of candidates."""
        self.check()
        similarities, rows = self._every.search(np.ascontiguousarray(vectors, dtype=np.float32), k)
        return similarities, self._named(rows)

    def ids(self) -> NDArray[np.int64]:
        return self._ids

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        self.check()
        if not len(ids):
            return np.empty((0, self.dimension), dtype=np.float32)
        wanted = np.asarray(ids, dtype=np.int64)
        if not self.count:
            raise KeyError(int(wanted[0]))
        places = np.minimum(np.searchsorted(self._ids, wanted, sorter=self._order), self.count - 1)
        rows = places if self._order is None else self._order[places]
        if len(missing := wanted[self._ids[rows] != wanted]):
            raise KeyError(int(missing[0]))
        return self._rows(rows)

    def save(self, path: Path) -> None:
        _write(self._exact, path)
        if self.candidates is not None:
            _write(self.candidates, candidates_file(path))

    def check(self) -> None:
        """Raises DamagedIndex if a search would read a changed mapped file; reading beyond its end causes SIGBUS."""
        if self.file is not None and self.candidates is not None:
            self.file.check()

    def arrange(self, factory: str, like: "FaissStore | None" = None, progress: bool = True, gpu: bool = False) -> None:
        """Builds the candidate index of all vectors, or drops it for `Flat`.

        Args:
            factory: FAISS's factory string (`IVF1024,PQ64x4fs`), as checked by `check_factory`.
            like: a store with such a candidate index of similar vectors, which is not trained again. If this store only
                has additional vectors, just those are added.
            progress: show the progress on stderr after two seconds.
            gpu: train on the GPUs.

        Raises:
            DacoError: FAISS does not support the factory string, or there are too few vectors to train it.
        """
        if factory == EXACT:
            self.candidates = None
            self._hold(self._exact)
            return
        try:
            if like is not None and like.candidates is not None:
                candidates = faiss.deserialize_index(faiss.serialize_index(like.candidates))
                grown = np.array_equal(self._ids[: like.count], like.ids())
                self._fill(candidates, like.count if grown else 0, progress)
            else:
                candidates = check_factory(factory, self.dimension)
                lists = inner(candidates)
                if hasattr(lists, "do_polysemous_training"):
                    lists.do_polysemous_training = False  # takes a minute, for a kind of search that is not used here
                if gpu:
                    train_there(lists)
                sample = self._sample(candidates)
                set_rotation(candidates, sample)
                candidates.train(sample)
                self._fill(candidates, 0, progress)
        except RuntimeError as error:
            raise UsageError(
                f"An index {factory} cannot be built from {self.count} descriptors of {self.dimension} numbers:"
                f" {_short(error)}."
            ) from error
        self.candidates = candidates
        self._hold(self._exact)

    def tune(self, parameters: dict[str, int]) -> None:
        """Sets parameters of the search (`nprobe`, `efSearch`, `k_factor`); no other thread may search meanwhile."""
        for name, value in parameters.items():
            if name == "k_factor":
                self._k_factor = value
                self._searched.k_factor = value
            elif self.candidates is not None:
                if self._on_gpu is not None:
                    faiss.GpuParameterSpace().set_index_parameter(self._on_gpu[0], name, value)
                faiss.ParameterSpace().set_index_parameter(self.candidates, name, value)

    def move_to_gpu(self) -> bool:
        """Searches on a GPU until the store is changed, one thread at a time; returns False if that is impossible.

        With candidates, their index moves to the GPU; the exact vectors, which rank them, stay where they are.
        """
        moved = move_there(self._flat if self.candidates is None else self.candidates)
        if moved is None:
            return False
        self._on_gpu, self._turn = moved, Lock()
        if self.candidates is None:
            self._searched = moved[0]
        else:
            self._search_by(moved[0])
        return True

    @property
    def bytes_per_vector(self) -> float:
        """Memory per vector for the search, including ids, without exact vectors that stay on disk."""
        if self.candidates is None:
            return float(4 * self.dimension + 2 * self._ids.itemsize)
        return len(faiss.serialize_index(self.candidates)) / max(1, self.count) + self._ids.itemsize

    def _hold(self, exact: faiss.IndexIDMap) -> None:
        """Takes exact vectors that `candidates` already indexes, and derives everything that depends on them."""
        self._exact = exact
        flat: Any = faiss.downcast_index(exact.index)
        self._flat = flat
        every = faiss.rev_swig_ptr(flat.get_xb(), self.count * self.dimension).reshape(self.count, self.dimension)
        # without a candidate index, each query reads all vectors
        self._every = Exact(in_large_pages(every) if self.file is not None and self.candidates is None else every)
        self._ids: NDArray[np.int64] = faiss.vector_to_array(exact.id_map)
        # in every index of daco-index the ids are ascending, so no sorted order is needed
        rising = bool((self._ids[1:] > self._ids[:-1]).all())
        self._order = None if rising else np.argsort(self._ids, kind="stable")
        self._on_gpu, self._turn = None, nullcontext()
        self._search_by(self.candidates)

    def _search_by(self, candidates: faiss.Index | None) -> None:
        self._searched = self._every
        self._lists = None
        if candidates is not None:
            lists = inner(candidates)
            self._lists = lists if isinstance(lists, faiss.IndexIVFFastScan) else None
            self._searched = _decided_by(self._flat, candidates)
            self._searched.k_factor = self._k_factor

    def _copy(self, rows: NDArray[np.int64]) -> faiss.IndexIDMap:
        """The exact vectors in some rows, with their ids, in memory."""
        copy = faiss.IndexIDMap(faiss.IndexFlatIP(self.dimension))
        for start in range(0, len(rows), ADDED_AT_ONCE):
            some = rows[start : start + ADDED_AT_ONCE]
            copy.add_with_ids(self._rows(some), self._ids[some])
        self.file = None
        return copy

    def _fill(self, candidates: faiss.Index, start: int, progress: bool) -> None:
        """Adds the vectors from row `start` on; from 0, they replace the previous ones."""
        if start == 0:
            candidates.reset()
        with tqdm(total=self.count - start, desc="indexing", unit=" vectors", disable=not progress, delay=2) as bar:
            for row in range(start, self.count, ADDED_AT_ONCE):
                some = self._rows(np.arange(row, min(row + ADDED_AT_ONCE, self.count)))
                candidates.add(some)
                bar.update(len(some))

    def _sample(self, candidates: faiss.Index) -> NDArray[np.float32]:
        """Vectors to train on: enough for each cluster, and always the same ones."""
        wanted = max(LEAST_TRAINED_ON, TRAINED_ON * getattr(inner(candidates), "nlist", 0))
        if wanted >= self.count:
            return self._rows(np.arange(self.count))
        chosen = np.random.default_rng(0).choice(self.count, wanted, replace=False)
        return self._rows(np.sort(chosen))

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """A copy of the exact vectors in these rows: (n,) to (n, dimension)."""
        # not reconstruct_batch, which makes a virtual call for each row
        found: NDArray[np.float32] = self._every.vectors[rows]
        return found

    def _named(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ids of rows; -1 stays -1."""
        ids = self._ids[rows] if self.count else rows
        if rows.size and rows[:, -1].min() < 0:
            ids = np.where(rows < 0, -1, ids)
        return ids


def check_factory(factory: str, dimension: int) -> faiss.Index:
    """An empty candidate index for a FAISS factory string.

    Its metric is the Euclidean distance, which orders vectors of length 1 like the inner product, and still does so
    after a PCA, which moves the origin.

    Raises:
        DacoError: FAISS does not support it, or it does not fit the dimension.
    """
    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_L2)
    except RuntimeError as error:
        reason = _short(error)
        raise UsageError(
            f"FAISS cannot build an index {factory!r} for descriptors of {dimension} numbers ({reason}). Examples:"
            " Flat, HNSW32,SQ8, IVF1024,PQ64x4fs, PCAR256,IVF4096,SQ8."
        ) from error


def forced_factory(factory: str, dimension: int) -> str:
    """Checks a factory string given by a user, and removes the ids, which the store keeps itself. Raises DacoError."""
    bare = factory.strip().removeprefix("IDMap2,").removeprefix("IDMap,")
    if bare != EXACT:
        check_factory(bare, dimension)
    return bare


def candidates_file(path: Path) -> Path:
    """The file of a store's candidate index, next to the store's own."""
    return path.with_name(path.stem + CANDIDATES_SUFFIX)


def inner(candidates: faiss.Index) -> Any:
    """The index behind transformations such as a PCA."""
    index = faiss.downcast_index(candidates)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def _decided_by(flat: faiss.Index, candidates: faiss.Index) -> faiss.IndexRefine:
    """An index that sorts the results of `candidates` by the inner product with the vectors in `flat`."""
    metric, flat.metric_type = flat.metric_type, candidates.metric_type
    refined = faiss.IndexRefine(candidates, flat)  # requires that both have the same metric, but uses only its own
    flat.metric_type = refined.metric_type = metric
    return refined


def _read(path: Path, flags: int = 0) -> faiss.Index:
    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise DamagedIndex(f"{path} is not an index that FAISS can read: {_short(error)}") from error


def _write(index: faiss.Index, path: Path) -> None:
    # through a Python stream: FAISS's own only prints a message if the last bytes do not fit on the disk
    with path.open("wb") as stream:
        faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write, WRITTEN_AT_ONCE))  # type: ignore[attr-defined]


def _short(error: RuntimeError) -> str:
    """FAISS's message without the C++ source line that it begins with."""
    return str(error).split(": Error: ")[-1].split(": ", 1)[-1].strip()
