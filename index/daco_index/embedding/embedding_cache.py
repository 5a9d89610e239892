"""Finds descriptors by content hash, to reuse those of the live generation or of an interrupted run."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, reason_of
from daco_index.reranking.local_file import LocalForm

READ_AT_ONCE = 4096  # records read at once from the file of an earlier run


@dataclass(frozen=True)
class Photograph:
    """Facts learnt while reading a file: its upright size in pixels and the SHA-256 of its bytes."""

    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Held:
    """Where a known descriptor is stored.

    Args:
        row: in the cache's file; or with `live`, the id under which the live generation holds it.
    """

    photograph: Photograph
    row: int
    live: bool


class KnownEmbeddings(Protocol):
    """Known descriptors, which need not be computed again."""

    def look_up(self, sha256: str) -> Held | None:
        """Where the descriptor of this content is stored; None if it is not known."""

    def remember(
        self, photographs: Sequence[Photograph], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None
    ) -> NDArray[np.int64] | None:
        """Adds n photographs and their descriptors (n, dimension); returns the rows (n,) that they got.

        None if it does not store them, so that the caller has to.

        Args:
            local: their local descriptors in `local_form`, (n, row_bytes); None if there are none.
        """

    @property
    def local_form(self) -> LocalForm | None:
        """The form of the local descriptors to compute with the others; None for none."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The stored descriptors, (rows, dimension)."""

    @property
    def local(self) -> NDArray[np.uint8] | None:
        """The stored local descriptors, (rows, row_bytes)."""


class EmbeddingCache:
    """Content hash to descriptor for one encoder, on disk, so that an interrupted run can be resumed.

    The file consists of records of equal length, each with its checksum, appended after every batch. After a crash the
    complete records are used and the others are embedded again. Only the hashes are in memory; descriptors are mapped
    from the file, so that a build never holds them twice. Any number of threads may look up while one adds.

    Args:
        folder: of the file; created with the first record.
        fingerprint, dimension: of the encoder.
        local_form: of the local descriptors, which are stored in the same records; None for none.
    """

    def __init__(self, folder: Path, fingerprint: str, dimension: int, local_form: LocalForm | None = None) -> None:
        form = f".{local_form.kept}-cells" if local_form else ""
        self._file = folder / f"{fingerprint}{form}.descriptors"
        self.local_form = local_form
        self._held: dict[str, Held] = {}
        self._count = 0  # records in the file, including damaged ones
        self._record = np.dtype(
            [
                ("sha256", "u1", (32,)),
                ("width", "<u4"),
                ("height", "<u4"),
                ("vector", "<f4", (dimension,)),
                ("local", "u1", (local_form.row_bytes if local_form else 0,)),
                ("checksum", "<u4"),
            ]
        )
        self._read()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The descriptors of all records, (rows, dimension), mapped from the current file."""
        vectors: NDArray[np.float32] = self._map()["vector"]
        return vectors

    @property
    def local(self) -> NDArray[np.uint8] | None:
        """The local descriptors of all records, (rows, row_bytes), mapped likewise; None if there are none."""
        return self._map()["local"] if self.local_form else None

    def contents(self) -> Iterable[str]:
        """The SHA-256 of every known content."""
        return self._held.keys()

    def hold(self, photographs: Sequence[Photograph], ids: Sequence[int]) -> None:
        """Registers n photographs whose descriptors the live generation holds under n ids; they stay there."""
        for photograph, number in zip(photographs, ids, strict=True):
            self._held[photograph.sha256] = Held(photograph, number, live=True)

    def look_up(self, sha256: str) -> Held | None:
        """Where the descriptor of this content is stored; None if it is not known."""
        return self._held.get(sha256)

    def remember(
        self, photographs: Sequence[Photograph], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None = None
    ) -> NDArray[np.int64]:
        """Appends n photographs and their descriptors (n, dimension); returns the rows (n,) that they got.

        Args:
            local: their local descriptors, (n, row_bytes), if there is a form for them.

        Raises:
            DacoError: the disk is full or cannot be written.
        """
        records = np.zeros(len(photographs), dtype=self._record)
        if local is not None:
            records["local"] = local
        for record, photograph, vector in zip(records, photographs, vectors, strict=True):
            record["sha256"] = np.frombuffer(bytes.fromhex(photograph.sha256), dtype=np.uint8)
            record["width"], record["height"] = photograph.width, photograph.height
            record["vector"] = vector
            record["checksum"] = zlib.crc32(record.tobytes()[:-4])
        try:
            self._file.parent.mkdir(exist_ok=True)
            # no sync: a power failure may cost the last seconds' work, and the checksums reveal damaged records
            with self._file.open("ab") as stream:
                stream.write(records.tobytes())
        except OSError as error:
            raise DacoError(f"Embeddings cannot be written to {self._file.parent} ({reason_of(error)}).") from error
        rows = np.arange(self._count, self._count + len(photographs))
        self._count += len(photographs)
        for photograph, row in zip(photographs, rows.tolist(), strict=True):
            self._held[photograph.sha256] = Held(photograph, row, live=False)
        return rows

    def _read(self) -> None:
        """Reads the file that an earlier run left."""
        size = self._record.itemsize
        try:
            length = self._file.stat().st_size
        except OSError:
            return
        self._count = length // size
        if self._count * size < length:
            with self._file.open("r+b") as stream:
                stream.truncate(self._count * size)  # a partial record would misalign all later ones
        for row, record in enumerate(self._records()):
            if zlib.crc32(record.tobytes()[:-4]) == record["checksum"]:
                photograph = Photograph(int(record["width"]), int(record["height"]), record["sha256"].tobytes().hex())
                self._held[photograph.sha256] = Held(photograph, row, live=False)

    def _records(self) -> Iterator[Any]:
        for start in range(0, self._count, READ_AT_ONCE):
            yield from np.fromfile(
                self._file, self._record, min(READ_AT_ONCE, self._count - start), offset=start * self._record.itemsize
            )

    def _map(self) -> NDArray[Any]:
        if not self._count:
            return np.empty(0, dtype=self._record)
        return np.memmap(self._file, self._record, "r", shape=(self._count,))
