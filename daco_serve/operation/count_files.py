"""The files in which several workers count together, with room on the disk that is taken before it is needed."""

import logging
import mmap
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger(__name__)

RESERVED_BYTES = 2**18  # of each file: several times what a worker counts, as labels never contain a client's text
HEADER_BYTES = 8  # the first four say how much of the file is used


class CountFile(MmapedDict):
    """A file of prometheus_client's, written in full before it is mapped.

    The library's own files have holes: where the disk is full when a count first falls into one, the system ends the
    process (SIGBUS). Where there is no room for this one, the counts stay in memory and are missing from `/metrics`,
    with a line in the log.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            if not read_mode and not Path(filename).exists():
                _reserve(Path(filename))
        except OSError as error:
            log.error("%s cannot be written (%s): its metrics are not counted.", filename, error.strerror)
            self._f, self._fname = None, filename  # type: ignore[assignment]
            self._m, self._capacity = mmap.mmap(-1, RESERVED_BYTES), RESERVED_BYTES
            self._positions: dict[str, int] = {}
            self._used = HEADER_BYTES
            self._m[:4] = self._used.to_bytes(4, "little")
        else:
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


def _reserve(file: Path) -> None:
    """Makes a file of zeros, or none. Raises OSError."""
    fresh = file.with_suffix(".new")  # which whoever adds the counts up does not look at
    try:
        with fresh.open("wb") as stream:
            stream.write(bytes(RESERVED_BYTES))
        fresh.rename(file)
    finally:
        fresh.unlink(missing_ok=True)
