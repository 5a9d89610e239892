"""Vectors in Milvus, past one machine: the generations of an index share a collection, and each sees its own rows.

A row's key is its photograph's id below the number of the generation that it was written for; `died` is the generation
that retired it. A generation's rows are those that were written for it or before it and that no generation up to it
has retired, so one that is being written is invisible to the others until `CURRENT` names it, and what it costs is
what it changes. What a crash leaves of it, the next writer takes back.
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
ID_BITS = 40  # of a key, below the generation's number
ALIVE = 2**62  # `died` of a row that nobody retired
BATCH_BYTES = 4 * 2**20  # that travel in one call; servers take 64 MiB
SEARCH_SECONDS = 5.0
CHECK_SECONDS = 2.0
SETTLE_SECONDS = 10.0  # twice Milvus's bound on how old the state may be that a bounded search sees
LOAD_SECONDS = 3600.0  # a collection of 10^8 is not in the servers' memory at once
# as it is built, and as it is searched for k matches; a collection is indexed by segments of some 10^6 rows
BUILD: dict[str, dict[str, int]] = {
    "HNSW": {"M": 32, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "FLAT": {},
}


@dataclass(frozen=True)
class Pointer:
    """What the folder of a generation has in place of its vectors: where they are, and how many."""

    address: str
    collection: str
    generation: int
    dimension: int
    count: int

    @classmethod
    def read(cls, file: Path) -> "Pointer":
        """Raises DacoError where it cannot be read."""
        try:
            return cls(**json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DamagedIndex(
                f"The index is damaged: {file} does not say where its vectors are ({error}): name the store with"
                " daco-index build --store."
            ) from error


class MilvusStore:
    """A `VectorStore`: the vectors of one generation, as `MilvusStore.load` and `begin` make it."""

    def __init__(self, connection: Connection, pointer: Pointer) -> None:
        self._connection = connection
        self.collection = pointer.collection
        self._generation = pointer.generation
        self._seen = f"id < {(pointer.generation + 1) << ID_BITS} and died > {pointer.generation}"
        self.dimension = pointer.dimension
        self.count = pointer.count
        self._settled = time.monotonic() + SETTLE_SECONDS  # when all that it has, however lately written, is seen
        self._keys: list[NDArray[np.int64]] | None = None  # of its rows, once they are asked for
        self._sorted = False

    @classmethod
    def load(cls, path: Path) -> "MilvusStore":
        """The vectors of the finished generation that a file points to.

        Raises:
            StoreAway: the server does not answer.
            DacoError: it does not have them all.
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
                f"Milvus at {address.server} has {found} of the {pointer.count} vectors that {path} speaks of: go back"
                " with daco-index rollback, or build the index again."
            )
        return store

    @classmethod
    def begin(
        cls, address: MilvusAddress, index: Path, owner: str, fingerprint: str, dimension: int, generation: int
    ) -> "MilvusStore":
        """The vectors of a generation that is to be written: at first those of the one before, of the same encoder.

        Args:
            index: the folder whose finished generations stay as they are.
            owner: of the collection, a name that no other index has.
            fingerprint: of the encoder; each has a collection of its own, and so has each kind of index.

        Raises:
            StoreAway: the server does not answer.
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
            raise UsageError(f"Milvus gives at most {MOST_ROWS} matches at a time, not {k}.")
        similarities = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        ids = np.full((len(vectors), k), -1, dtype=np.int64)
        # a bounded search may not see what was just written; a strong one does, and waits 0.2 s for the servers' clock
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
            raise DacoError(f"Milvus at {self._connection.address.server} took {found} of {self.count} vectors.")
        pointer = Pointer(self.address, self.collection, self._generation, self.dimension, self.count)
        write_text(path, json.dumps(asdict(pointer), indent=2) + "\n")

    def check(self) -> None:
        self._call_search([np.zeros(self.dimension, dtype=np.float32)], 1, CHECK_SECONDS, "Eventually")

    def drop(self) -> None:
        """Deletes the collection, with the vectors of every generation. Raises StoreAway."""
        self._connection.call("drop_collection", self.collection)

    def _make(self) -> None:
        """The collection, indexed and in the servers' memory, whatever of that is there already."""
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
        """Undoes what a crash left of a generation of this number or above: its rows, and its retirements."""
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
        """Writes rows, or writes them over; to do it twice is to do it once, so that a call can be tried again."""
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
        """The keys of its rows, in no promised order."""
        if self._keys is None:
            pages = self._connection.pages(self.collection, self._seen, "id") if self.count else ()
            self._keys = [np.array(page, dtype=np.int64) for page in pages]
            self._sorted = False
        return self._keys

    def _sorted_keys(self) -> NDArray[np.int64]:
        """The keys of its rows, by rising id."""
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
    """Those of the generations of an index that are in Milvus, the oldest first; unreadable ones are passed over."""
    return _read_pointers(index)[0]


def sweep(connection: Connection, index: Path, owner: str) -> None:
    """Drops the collections of an index, and deletes the rows, that none of its generations sees any more.

    Nothing is removed while one generation's pointer cannot be read, nor ever from a collection of another index.

    Raises:
        StoreAway: the server does not answer.
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
    """The pointers of the generations that lie in an index, and whether there is none that could not be read."""
    try:
        names = os.listdir(index / GENERATIONS)  # noqa: PTH208 - it raises, where others take an error for an answer
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
            # only a generation that shows its other files has no pointer because its vectors lie in a file
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
