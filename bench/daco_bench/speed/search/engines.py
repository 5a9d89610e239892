"""The compared search engines: how each is built, opened, queried and tuned."""

import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, MissingExtra
from daco_index.search.catalog import Catalog, Entry
from daco_index.search.stores.faiss import AS_IT_LIKES, FaissStore, candidates_file, inner
from daco_index.search.stores.gpu import move_there

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Setting = dict[str, int]

STORE_FILE = "vectors.faiss"
CATALOG_FILE = "catalog.sqlite"
LINKS = 16  # per node of a graph: the default of hnswlib and usearch
BUILD_EFFORT = 128  # efConstruction, for both hnswlib and usearch
EFFORTS = tuple(round(16 * 2 ** (power / 2)) for power in range(13))  # values of `ef`, for both hnswlib and usearch


class Searcher(Protocol):
    """An opened index.

    Args:
        bytes_per_vector: in memory.
    """

    bytes_per_vector: float

    def tune(self, setting: Setting) -> None:
        """Sets the search parameter."""

    def ask(self, queries: Vectors, k: int) -> Any:
        """Its answer, in its own format."""

    def ids(self, answer: Any) -> Ids:
        """Converts an answer to ids (q, k)."""


class Store:
    """The search of daco-serve without the catalogue."""

    def __init__(self, folder: Path) -> None:
        self.store = self._open(folder)
        self.bytes_per_vector = self.store.bytes_per_vector

    def _open(self, folder: Path) -> FaissStore:
        return open_store(folder)

    def tune(self, setting: Setting) -> None:
        self.store.tune(setting)

    def ask(self, queries: Vectors, k: int) -> Any:
        return self.store.search(queries, k)

    def ids(self, answer: Any) -> Ids:
        return np.asarray(answer[1], dtype=np.int64)


class Served(Store):
    """The search of daco-serve, with the catalogue's entry of each match."""

    def __init__(self, folder: Path) -> None:
        from daco_index.search.bundle import (
            Bundle,  # imports PyTorch, which would distort the memory of other engines
        )

        super().__init__(folder)
        nothing: Any = None  # the search uses neither the manifest nor the encoder
        self._bundle = Bundle(nothing, nothing, self.store, Catalog(folder / CATALOG_FILE))

    def ask(self, queries: Vectors, k: int) -> Any:
        return self._bundle.search(queries, k)

    def ids(self, answer: Any) -> Ids:
        return np.array([[match.entry.id for match in row] for row in answer], dtype=np.int64)


class ServedOnGpu(Served):
    """The search of daco-serve on a GPU."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if not self.store.move_to_gpu():
            raise DacoError(f"FAISS does not support the index in {folder} on this GPU.")

    def _open(self, folder: Path) -> FaissStore:
        return _load(folder)  # a separate copy, because it is moved out of main memory


class BareFaiss:
    """The same FAISS index in memory, searched by FAISS alone; here, too, the exact vectors rank the candidates."""

    PARAMETERS: ClassVar[Any] = faiss.ParameterSpace

    def __init__(self, folder: Path) -> None:
        store = open_store(folder)
        exact: Any = faiss.read_index(str(folder / STORE_FILE))
        self._flat = faiss.downcast_index(exact.index)
        self._exact = exact  # keeps the owner of the flat index alive
        self.bytes_per_vector = 4.0 * store.dimension
        if store.candidates is not None:
            self.bytes_per_vector += store.bytes_per_vector
            candidates = faiss.read_index(str(candidates_file(folder / STORE_FILE)))
            if isinstance(lists := inner(candidates), faiss.IndexIVFFastScan):
                lists.implem = AS_IT_LIKES
            self._candidates = self._place(candidates)
            self._flat.metric_type = candidates.metric_type
            self._index = faiss.IndexRefine(self._candidates, self._flat)
            self._flat.metric_type = self._index.metric_type = faiss.METRIC_INNER_PRODUCT
        else:
            self._index = self._place(self._flat)

    def _place(self, index: Any) -> Any:
        return index

    def tune(self, setting: Setting) -> None:
        for name, value in setting.items():
            if name == "k_factor":
                self._index.k_factor = value
            else:
                self.PARAMETERS().set_index_parameter(self._candidates, name, value)

    def ask(self, queries: Vectors, k: int) -> Any:
        return self._index.search(queries, k)

    def ids(self, answer: Any) -> Ids:
        return np.asarray(answer[1], dtype=np.int64)


class BareFaissOnGpu(BareFaiss):
    """The same FAISS index on a GPU, searched by FAISS alone; the exact vectors in main memory rank the candidates."""

    PARAMETERS: ClassVar[Any] = getattr(faiss, "GpuParameterSpace", None)  # faiss-cpu has none

    def _place(self, index: Any) -> Any:
        moved = move_there(index)
        if moved is None:
            raise DacoError("FAISS does not support this index on this GPU.")
        on_gpu, self._resources = moved
        return on_gpu


class Usearch:
    """A usearch graph over half-precision vectors."""

    def __init__(self, folder: Path) -> None:
        self._index = _usearch().Index.restore(str(folder / "usearch.index"))
        self.bytes_per_vector = self._index.memory_usage / max(1, len(self._index))

    @staticmethod
    def build(store: FaissStore, folder: Path) -> float:
        """Builds and saves the index; returns the CPU seconds of building."""
        start = time.process_time()
        index = _usearch().Index(
            ndim=store.dimension, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILD_EFFORT
        )
        for ids, vectors in _parts(store):
            index.add(ids, vectors)
        seconds = time.process_time() - start
        index.save(str(folder / "usearch.index"))
        return seconds

    def tune(self, setting: Setting) -> None:
        self._index.expansion_search = setting["ef"]

    def ask(self, queries: Vectors, k: int) -> Any:
        return self._index.search(queries, k)

    def ids(self, answer: Any) -> Ids:
        return np.atleast_2d(np.asarray(answer.keys).astype(np.int64))


class Hnswlib:
    """An hnswlib graph over single-precision vectors."""

    def __init__(self, folder: Path) -> None:
        dimension, count = (int(word) for word in (folder / "hnswlib.txt").read_text().split())
        self._index = _hnswlib().Index(space="ip", dim=dimension)
        self._index.load_index(str(folder / "hnswlib.index"), max_elements=count)
        self.bytes_per_vector = self._index.index_file_size() / max(1, count)

    @staticmethod
    def build(store: FaissStore, folder: Path) -> float:
        """Builds and saves the index; returns the CPU seconds of building."""
        start = time.process_time()
        index = _hnswlib().Index(space="ip", dim=store.dimension)
        index.init_index(max_elements=store.count, M=LINKS, ef_construction=BUILD_EFFORT)
        for ids, vectors in _parts(store):
            index.add_items(vectors, ids)
        seconds = time.process_time() - start
        index.save_index(str(folder / "hnswlib.index"))
        (folder / "hnswlib.txt").write_text(f"{store.dimension} {store.count}")
        return seconds

    def tune(self, setting: Setting) -> None:
        self._index.set_ef(setting["ef"])

    def ask(self, queries: Vectors, k: int) -> Any:
        return self._index.knn_query(queries, k)

    def ids(self, answer: Any) -> Ids:
        return np.asarray(answer[0], dtype=np.int64)


OTHERS: dict[str, type[Usearch] | type[Hnswlib]] = {"usearch": Usearch, "hnswlib": Hnswlib}
OPENED_BY: dict[str, type[Any]] = {
    "served": Served,
    "no catalogue": Store,
    "bare FAISS": BareFaiss,
    "served, GPU": ServedOnGpu,
    "bare FAISS, GPU": BareFaissOnGpu,
    **OTHERS,
}


@lru_cache(maxsize=2)
def open_store(folder: Path) -> FaissStore:
    """Opens the store in a folder, exact or with candidates; the same object again, so that it is in memory once."""
    return _load(folder)


def _load(folder: Path) -> FaissStore:
    return FaissStore.load(folder / STORE_FILE, candidates_file(folder / STORE_FILE).exists())


def save_served(store: FaissStore, folder: Path) -> None:
    """Writes a store and a catalogue with an entry for each of its vectors."""
    store.save(folder / STORE_FILE)
    Catalog.create(
        folder / CATALOG_FILE,
        (
            Entry(
                number,
                f"/photographs/street-{number // 800:05d}/{number:09d}.jpg",
                f"street-{number // 800:05d}/{number // 8:08d}",
                45.0 + number % 1000 / 1e4,
                7.0 + number // 1000 / 1e4,
                float(number % 360),
                1600,
                1200,
                f"{number:064x}",
            )
            for number in store.ids().tolist()
        ),
    )


def _parts(store: FaissStore, at_once: int = 65536) -> Iterator[tuple[Ids, Vectors]]:
    for start in range(0, store.count, at_once):
        ids = store.ids()[start : start + at_once]
        yield ids, store.vectors(ids)


def _usearch() -> Any:
    try:
        from usearch import index
    except ImportError as error:
        raise MissingExtra("usearch is not installed: pip install 'daco-serve[bench]'.") from error
    return index


def _hnswlib() -> Any:
    try:
        import hnswlib
    except ImportError as error:
        raise MissingExtra("hnswlib is not installed: pip install 'daco-serve[bench]'.") from error
    return hnswlib
