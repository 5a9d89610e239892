"""Files of a generation that stay open. If one is changed, this is noticed before anything else is read from it.

Only FAISS maps files into memory: if a mapped file is truncated, or its disk fails, the system kills the process
(SIGBUS).
"""

import ctypes
import os
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DamagedIndex

# PyDLL keeps the interpreter's lock; `os.pread` releases it for each row, and under load has to wait for it as often
_pread = ctypes.PyDLL(None, use_errno=True).pread
_pread.restype = ctypes.c_ssize_t
_pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]


class Stamp(NamedTuple):
    """Which file it is, its size, and its time of modification in nanoseconds: these change if the file is changed."""

    device: int
    number: int
    size: int
    written: int


def stamp_of(file: Path | int) -> Stamp:
    """The stamp of a path or an open descriptor. Raises OSError."""
    found = os.fstat(file) if isinstance(file, int) else file.stat()
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class HeldFile:
    """A finished file, open for reading by any number of threads. It stays readable if it is removed or renamed.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)
        self.stamp = stamp_of(self.descriptor)

    @property
    def changed(self) -> bool:
        """Whether the file was written to or truncated, or its disk does not respond."""
        try:
            return stamp_of(self.descriptor) != self.stamp
        except OSError:
            return True

    def check(self) -> None:
        """Raises DamagedIndex if the file was changed."""
        if self.changed:
            raise DamagedIndex(f"{self.path} was changed while the index was open; the files of an index never change.")

    def rows(self, start: int, row_bytes: int, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads rows of equal length by their numbers (n,), where row 0 begins at byte `start`: (n, row_bytes).

        Raises:
            DamagedIndex: the file was changed, or cannot be read.
        """
        self.check()
        found = np.empty((len(rows), row_bytes), dtype=np.uint8)
        address = found.ctypes.data
        for place in (start + rows * row_bytes).tolist():
            got = _pread(self.descriptor, address, row_bytes, place)
            if got != row_bytes:
                reason = os.strerror(ctypes.get_errno()) if got < 0 else "it is too short"
                raise DamagedIndex(f"{self.path} cannot be read: {reason}.")
            address += row_bytes
        return found
