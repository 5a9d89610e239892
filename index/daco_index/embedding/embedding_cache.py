"""Descriptors by content: what the live generation or a run that was stopped has embedded is not embedded again."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError
from daco_index.reranking.local_file import LocalForm

READ_AT_ONCE = 4096  # records, when the file of an earlier run is read


@dataclass(frozen=True)
class Photograph:
    """What was learnt of a file on the way: its upright size in pixels and the SHA-256 of its bytes."""

    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Held:
    """Where the descriptor of a photograph is, so that it need not be made.

    Args:
        row: in the file of the cache; or with `live`, the id under which the live generation holds it.
    """

    photograph: Photograph
    row: int
    live: bool


class KnownEmbeddings(Protocol):
    """What need not be embedded again."""

    def look_up(self, sha256: str) -> Held | None:
        """Where the descriptor of this content is, or None."""

    def remember(
        self, photographs: Sequence[Photograph], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None
    ) -> NDArray[np.int64] | None:
        """Takes in n photographs and their descriptors (n, dimension): the rows (n,) that they got.

        None where they are not kept, and the caller has to keep them.

        Args:
            local: their local descriptors in `local_form`, (n, row_bytes); None where there is none.
        """

    @property
    def local_form(self) -> LocalForm | None:
        """The form of the local descriptors that are made with the others; None for none."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The descriptors that it keeps, (rows, dimension)."""

    @property
    def local(self) -> NDArray[np.uint8] | None:
        """The local descriptors that it keeps, (rows, row_bytes)."""


class EmbeddingCache:
    """Content hash to descriptor, of one encoder; on disk, so that a run that was stopped can be resumed.

    The file has records of one length, each with its checksum, appended after every batch: after a crash the complete
    records are used and the others are embedded again. In memory are only the hashes; descriptors are mapped from the
    file, so that a build holds none of them twice. Any number of threads may look up while one remembers.

    Args:
        folder: where the file lies; made with the first record.
        fingerprint, dimension: of the encoder.
        local_form: of the local descriptors, which lie in the same records; None for none.
    """

    def __init__(self, folder: Path, fingerprint: str, dimension: int, local_form: LocalForm | None = None) -> None:
        form = f".{local_form.kept}-cells" if local_form else ""
        self._file = folder / f"{fingerprint}{form}.descriptors"
        self.local_form = local_form
        self._held: dict[str, Held] = {}
        self._count = 0  # records in the file, damaged ones among them
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
        """The descriptors of all records, (rows, dimension), mapped from the file as it is now."""
        vectors: NDArray[np.float32] = self._map()["vector"]
        return vectors

    @property
    def local(self) -> NDArray[np.uint8] | None:
        """The local descriptors of all records, (rows, row_bytes), mapped likewise; None where there are none."""
        return self._map()["local"] if self.local_form else None

    def contents(self) -> Iterable[str]:
        """The SHA-256 of every content that is known."""
        return self._held.keys()

    def hold(self, photographs: Sequence[Photograph], ids: Sequence[int]) -> None:
        """Takes in n photographs whose descriptors the live generation holds under n ids; they stay there."""
        for photograph, number in zip(photographs, ids, strict=True):
            self._held[photograph.sha256] = Held(photograph, number, live=True)

    def look_up(self, sha256: str) -> Held | None:
        """Where the descriptor of this content is, or None."""
        return self._held.get(sha256)

    def remember(
        self, photographs: Sequence[Photograph], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None = None
    ) -> NDArray[np.int64]:
        """Appends n photographs and their descriptors (n, dimension): the rows (n,) that they got.

        Args:
            local: their local descriptors, (n, row_bytes), where there is a form for them.

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
            # no sync: a loss of power may cost the last seconds' work, and the checksums find what it garbled
            with self._file.open("ab") as stream:
                stream.write(records.tobytes())
        except OSError as error:
            raise DacoError(
                f"What was embedded cannot be written to {self._file.parent} ({error.strerror})."
            ) from error
        rows = np.arange(self._count, self._count + len(photographs))
        self._count += len(photographs)
        for photograph, row in zip(photographs, rows.tolist(), strict=True):
            self._held[photograph.sha256] = Held(photograph, row, live=False)
        return rows

    def _read(self) -> None:
        """Takes in what an earlier run has left in the file."""
        size = self._record.itemsize
        try:
            length = self._file.stat().st_size
        except OSError:
            return
        self._count = length // size
        if self._count * size < length:
            with self._file.open("r+b") as stream:
                stream.truncate(self._count * size)  # part of a record would put every later one out of step
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
