"""Vectors in Milvus, for more than one machine: the generations of an index share a collection.

The key of a row combines the photograph's id with the generation that wrote it; `died` is the generation that retired
it. The rows of a generation are those written by it or an earlier one, and not retired by it or an earlier one. So a
generation that is being written is invisible to the others until `CURRENT` names it, and it costs only as much as it
changes. What a crash leaves of it, the next writer removes.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, DamagedIndex, UsageError
from daco_core.files import write_text
from daco_index.generations.folders import GENERATIONS, generation_folder
from daco_index.search.stores.address import MilvusAddress
from daco_index.search.stores.connection import MOST_ROWS, Connection

POINTER_FILE = "vectors.milvus.json"
ID_BITS = 40  # of a key; the generation's number is above them
ALIVE = 2**62  # `died` of a row that is not retired
BATCH_BYTES = 4 * 2**20  # sent in one call; servers accept 64 MiB
SEARCH_SECONDS = 5.0
CHECK_SECONDS = 2.0
SETTLE_SECONDS = 10.0  # twice Milvus's limit on the age of the state that a bounded search sees
LOAD_SECONDS = 3600.0  # loading a collection of 10^8 vectors into the servers' memory takes long
# parameters for building, and for a search of k matches; a collection is indexed in segments of some 10^6 rows
BUILD: dict[str, dict[str, int]] = {
    "HNSW": {"M": 32, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "FLAT": {},
}


@dataclass(frozen=True)
class Pointer:
    """The file that a generation has instead of its vectors: where they are, and how many."""

    address: str
    collection: str
    generation: int
    dimension: int
    count: int

    @classmethod
    def read(cls, file: Path) -> "Pointer":
        """Reads the file. Raises DacoError if that fails."""
        try:
            return cls(**json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DamagedIndex(
                f"The index is damaged: {file} does not state where its vectors are ({error}): name the store with"
                " daco-index build --store."
            ) from error


class MilvusStore:
    """A `VectorStore` of the vectors of one generation; created by `MilvusStore.load` and `begin`."""

    def __init__(self, connection: Connection, pointer: Pointer) -> None:
        self._connection = connection
        self.collection = pointer.collection
        self._generation = pointer.generation
        self._seen = f"id < {(pointer.generation + 1) << ID_BITS} and died > {pointer.generation}"
        self.dimension = pointer.dimension
        self.count = pointer.count
        self._settled = time.monotonic() + SETTLE_SECONDS  # when all its rows, however recent, are visible
        self._keys: list[NDArray[np.int64]] | None = None  # of its rows, once they were needed
        self._sorted = False

    @classmethod
    def load(cls, path: Path) -> "MilvusStore":
        """Opens the vectors of a finished generation, to which a file points.

        Raises:
            StoreAway: the server does not respond.
            DacoError: some of them are missing.
        """
        pointer = Pointer.read(path)
        address = MilvusAddress.parse(pointer.address)
        store = cls(Connection(address), pointer)
        store._connection.reach()
        if not store._connection.call("has_collection", pointer.collection):
            raise DamagedIndex(f"Milvus at {address.server} has no collection {pointer.collection}, named in {path}.")
        store._connection.call("load_collection", pointer.collection, patience=LOAD_SECONDS)
        if (found := store._count()) != pointer.count:
            raise DamagedIndex(
                f"Milvus at {address.server} has {found} of the {pointer.count} vectors that {path} names: restore"
                " another generation with daco-index rollback, or build the index again."
            )
        return store

    @classmethod
    def begin(
        cls, address: MilvusAddress, index: Path, owner: str, fingerprint: str, dimension: int, generation: int
    ) -> "MilvusStore":
        """Begins a new generation. At first it has the vectors of the previous one with the same encoder.

        Args:
            index: the folder; its finished generations stay unchanged.
            owner: the unique name of the index, for the collection.
            fingerprint: of the encoder; each encoder and each kind of index has its own collection.

        Raises:
            StoreAway: the server does not respond.
        """
        connection = Connection(address)
        connection.reach()
        sweep(connection, index, owner)
        collection = f"{_prefix(address, owner)}{fingerprint[:12]}_{address.index.lower()}"
        store = cls(connection, Pointer(str(address), collection, generation, dimension, 0))
        store._make()
        store._take_back()
        store.count = store._count()
        return store

    @property
    def address(self) -> str:
        return str(self._connection.address)

    def add(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        parts = self._parts()
        keys = np.asarray(ids, dtype=np.int64) | (self._generation << ID_BITS)
        self._write(keys, vectors, ALIVE)
        parts.append(keys)
        self._sorted = False
        self.count += len(keys)

    def remove(self, ids: NDArray[np.int64]) -> None:
        keys = self._sorted_keys()
        leaving = keys[np.isin(keys & (2**ID_BITS - 1), ids)]
        own = leaving >= self._generation << ID_BITS
        self._settled = time.monotonic() + SETTLE_SECONDS
        for part in self._batches(leaving[own]):
            self._connection.call("delete", self.collection, ids=part.tolist())
        for part in self._batches(leaving[~own]):  # older generations still see these
            self._write(part, self._fetch(part), self._generation)
        self._keys = [np.setdiff1d(keys, leaving, assume_unique=True)]
        self._sorted = False
        self.count -= len(leaving)

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if k > MOST_ROWS:
            raise UsageError(f"Milvus returns at most {MOST_ROWS} matches at a time, not {k}.")
        similarities = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        ids = np.full((len(vectors), k), -1, dtype=np.int64)
        # a bounded search may miss recent rows; a strong one sees them, but waits 0.2 s for the servers' clock
        consistency = "Strong" if time.monotonic() < self._settled else "Bounded"
        queries = list(np.ascontiguousarray(vectors, dtype=np.float32))
        answers = self._call_search(queries, k, SEARCH_SECONDS, consistency)
        for row, answer in enumerate(answers):
            similarities[row, : len(answer)] = [hit["distance"] for hit in answer]
            ids[row, : len(answer)] = [hit["id"] & (2**ID_BITS - 1) for hit in answer]
        return similarities, ids

    def ids(self) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._sorted_keys() & (2**ID_BITS - 1)
        return ids

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        keys = self._sorted_keys()
        held = keys & (2**ID_BITS - 1)
        places = np.searchsorted(held, ids)
        missing = places >= len(held)
        missing[~missing] = held[places[~missing]] != ids[~missing]
        if missing.any():
            raise KeyError(int(ids[missing][0]))
        parts = [self._fetch(part) for part in self._batches(keys[places])]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)

    def save(self, path: Path) -> None:
        self._connection.call("flush", self.collection)
        if (found := self._count()) != self.count:
            raise DacoError(f"Milvus at {self._connection.address.server} stored {found} of {self.count} vectors.")
        pointer = Pointer(self.address, self.collection, self._generation, self.dimension, self.count)
        write_text(path, json.dumps(asdict(pointer), indent=2) + "\n")

    def check(self) -> None:
        self._call_search([np.zeros(self.dimension, dtype=np.float32)], 1, CHECK_SECONDS, "Eventually")

    def drop(self) -> None:
        """Deletes the collection, with the vectors of every generation. Raises StoreAway."""
        self._connection.call("drop_collection", self.collection)

    def _make(self) -> None:
        """Creates the collection, its index, and loads it into the servers' memory; existing parts are kept."""
        from pymilvus import DataType, MilvusClient

        if not self._connection.call("has_collection", self.collection):
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("died", DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
            self._connection.call("create_collection", self.collection, schema=schema)
        if not self._connection.call("list_indexes", self.collection, "vector"):
            kind = self._connection.address.index
            parameters = MilvusClient.prepare_index_params()
            parameters.add_index("vector", index_type=kind, metric_type="IP", params=BUILD[kind])
            self._connection.call("create_index", self.collection, parameters)
        self._connection.call("load_collection", self.collection, patience=LOAD_SECONDS)

    def _take_back(self) -> None:
        """Undoes what a crash left of a generation with this number or above: its rows, and its retirements."""
        self._connection.call("delete", self.collection, filter=f"id >= {self._generation << ID_BITS}")
        retired = f"died >= {self._generation} and died < {ALIVE}"
        for keys in list(self._connection.pages(self.collection, retired, "id")):
            for part in self._batches(np.array(keys, dtype=np.int64)):
                self._write(part, self._fetch(part), ALIVE)

    def _call_search(self, vectors: Sequence[Any], k: int, patience: float, consistency: str) -> Any:
        kind = self._connection.address.index
        depth = {"HNSW": {"ef": min(max(128, 2 * k), 32768)}, "FLAT": {}}.get(kind, {"nprobe": 64})
        return self._connection.call(
            "search",
            self.collection,
            data=vectors,
            anns_field="vector",
            limit=k,
            filter=self._seen,
            output_fields=["id"],
            search_params={"metric_type": "IP", "params": depth},
            consistency_level=consistency,
            patience=patience,
        )

    def _count(self) -> int:
        answer = self._connection.call(
            "query", self.collection, filter=self._seen, output_fields=["count(*)"], consistency_level="Strong"
        )
        return int(answer[0]["count(*)"])

    def _write(self, keys: NDArray[np.int64], vectors: NDArray[np.float32], died: int) -> None:
        """Writes or overwrites rows; a second call has no further effect, so that calls can be retried."""
        self._settled = time.monotonic() + SETTLE_SECONDS
        for places in self._batches(np.arange(len(keys))):
            rows = [{"id": int(keys[place]), "died": died, "vector": vectors[place]} for place in places]
            self._connection.call("upsert", self.collection, rows)

    def _fetch(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = self._connection.call(
            "get", self.collection, ids=keys.tolist(), output_fields=["id", "vector"], consistency_level="Strong"
        )
        found = {row["id"]: row["vector"] for row in rows}
        return np.array([found[key] for key in keys.tolist()], dtype=np.float32)

    def _parts(self) -> list[NDArray[np.int64]]:
        """The keys of its rows, in any order."""
        if self._keys is None:
            pages = self._connection.pages(self.collection, self._seen, "id") if self.count else ()
            self._keys = [np.array(page, dtype=np.int64) for page in pages]
            self._sorted = False
        return self._keys

    def _sorted_keys(self) -> NDArray[np.int64]:
        """The keys of its rows, sorted by id."""
        parts = self._parts()
        if not self._sorted:
            keys = np.concatenate([np.empty(0, dtype=np.int64), *parts])
            parts[:] = [keys[np.argsort(keys & (2**ID_BITS - 1))]]
            self._sorted = True
        return parts[0]

    def _batches(self, items: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        rows = min(MOST_ROWS, max(1, BATCH_BYTES // (4 * self.dimension + 32)))
        for start in range(0, len(items), rows):
            yield items[start : start + rows]


def pointers(index: Path) -> list[Pointer]:
    """The pointers of an index's generations that are in Milvus, oldest first; unreadable ones are ignored."""
    return _read_pointers(index)[0]


def sweep(connection: Connection, index: Path, owner: str) -> None:
    """Drops the collections, and deletes the rows, that none of an index's generations uses any more.

    Nothing is removed while one generation's pointer cannot be read, and never from a collection of another index.

    Raises:
        StoreAway: the server does not respond.
    """
    read, all_read = _read_pointers(index)
    if not all_read:
        return
    kept: dict[str, list[int]] = defaultdict(list)
    for pointer in read:
        kept[pointer.collection].append(pointer.generation)
    for collection in connection.call("list_collections"):
        if not collection.startswith(_prefix(connection.address, owner)):
            continue
        if collection in kept:
            connection.call("delete", collection, filter=f"died <= {min(kept[collection])}")
        else:
            connection.call("drop_collection", collection)


def _read_pointers(index: Path) -> tuple[list[Pointer], bool]:
    """The pointers of the generations in an index, and whether all of them could be read."""
    try:
        names = os.listdir(index / GENERATIONS)  # noqa: PTH208 - raises an error, where others return an empty result
    except FileNotFoundError:
        return [], True
    except OSError:
        return [], False
    found, all_read = [], True
    for number in sorted(int(name) for name in names if name.isdecimal()):
        folder = generation_folder(index, number)
        try:
            found.append(Pointer.read(folder / POINTER_FILE))
        except DacoError as error:
            # only if its other files are visible does a missing pointer mean that the vectors are in a file
            missing = isinstance(error.__cause__, FileNotFoundError)
            all_read = all_read and missing and _is_listed(folder)
    return found, all_read


def _is_listed(folder: Path) -> bool:
    try:
        return POINTER_FILE not in os.listdir(folder)  # noqa: PTH208
    except OSError:
        return False


def _prefix(address: MilvusAddress, owner: str) -> str:
    return f"{address.name}_{owner}_"
