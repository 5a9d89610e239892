"""Descriptors by content: what was embedded once, in the live generation or by a run that was stopped, is not again."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError


@dataclass(frozen=True)
class Photograph:
    """What was learnt of a file on the way: its upright size in pixels and the SHA-256 of its bytes."""

    width: int
    height: int
    sha256: str


# what is known of a content: its descriptor (dimension,), or the id under which the live generation holds it
Described = NDArray[np.float32] | int


class Memory(Protocol):
    """What need not be embedded again."""

    def look_up(self, sha256: str) -> tuple[Photograph, Described] | None:
        """The photograph of this content with its descriptor or the id that holds it, or None."""

    def remember(self, photographs: Sequence[Photograph], vectors: NDArray[np.float32]) -> None:
        """Takes in n photographs and their descriptors (n, dimension)."""


class Known:
    """Content hash to descriptor, of one encoder; and the notes that let a stopped run go on where it was.

    The notes are a file of records of one length, each with its checksum, written after every batch: whatever a crash
    leaves of them, the whole records are taken and the others are embedded again. Any number of threads may look up
    while one remembers.

    Args:
        folder: where the notes lie; made with the first one.
        fingerprint, dimension: of the encoder.
    """

    def __init__(self, folder: Path, fingerprint: str, dimension: int) -> None:
        self._file = folder / f"{fingerprint}.descriptors"
        self._known: dict[str, tuple[Photograph, Described]] = {}
        self._record = np.dtype(
            [
                ("sha256", "u1", (32,)),
                ("width", "<u4"),
                ("height", "<u4"),
                ("vector", "<f4", (dimension,)),
                ("checksum", "<u4"),
            ]
        )
        self._read_notes()

    def __len__(self) -> int:
        return len(self._known)

    def contents(self) -> Iterable[str]:
        """The SHA-256 of every content that is known."""
        return self._known.keys()

    def hold(self, photographs: Sequence[Photograph], ids: Sequence[int]) -> None:
        """Takes in n photographs whose descriptors the live generation holds under n ids; they stay there."""
        for photograph, number in zip(photographs, ids, strict=True):
            self._known[photograph.sha256] = photograph, number

    def look_up(self, sha256: str) -> tuple[Photograph, Described] | None:
        """The photograph of this content with its descriptor or the id that holds it, or None."""
        return self._known.get(sha256)

    def remember(self, photographs: Sequence[Photograph], vectors: NDArray[np.float32]) -> None:
        """Takes in n photographs and their descriptors (n, dimension), and notes them for a run that may follow.

        Raises:
            DacoError: the disk is full or cannot be written.
        """
        records = np.zeros(len(photographs), dtype=self._record)
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
        for photograph, vector in zip(photographs, vectors, strict=True):
            self._known[photograph.sha256] = photograph, vector

    def _read_notes(self) -> None:
        try:
            content = self._file.read_bytes()
        except OSError:
            return
        size = self._record.itemsize
        whole = len(content) // size
        if whole * size < len(content):
            with self._file.open("r+b") as stream:
                stream.truncate(whole * size)  # half a record would put every later one out of step
        for number, record in enumerate(np.frombuffer(content, dtype=self._record, count=whole)):
            start = number * size
            if zlib.crc32(content[start : start + size - 4]) == record["checksum"]:
                photograph = Photograph(int(record["width"]), int(record["height"]), record["sha256"].tobytes().hex())
                self._known[photograph.sha256] = photograph, record["vector"]
