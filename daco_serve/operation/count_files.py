"""The files of shared counters of several workers; their disk space is reserved in advance."""

import logging
import mmap
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger(__name__)

RESERVED_BYTES = 2**18  # for each file: several times what a worker needs, as labels never contain a client's text
HEADER_BYTES = 8  # the first four hold the number of used bytes


class CountFile(MmapedDict):
    """A file of prometheus_client, written completely before it is mapped.

    The library's own files are sparse: if the disk is full when a counter first uses a new page, the system kills the
    process (SIGBUS). If there is no space for this file, the counters stay in memory and are missing from `/metrics`,
    with an entry in the log.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            if not read_mode and not Path(filename).exists():
                _reserve(Path(filename))
        except OSError as error:
            log.error("%s cannot be written (%s): its metrics are missing from /metrics.", filename, error.strerror)
            self._f, self._fname = None, filename  # type: ignore[assignment]
            self._m, self._capacity = mmap.mmap(-1, RESERVED_BYTES), RESERVED_BYTES
            self._positions: dict[str, int] = {}
            self._used = HEADER_BYTES
            self._m[:4] = self._used.to_bytes(4, "little")
        else:
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


def _reserve(file: Path) -> None:
    """Creates a file of zeros, or none. Raises OSError."""
    fresh = file.with_suffix(".new")  # this suffix is ignored when the counters are added up
    try:
        with fresh.open("wb") as stream:
            stream.write(bytes(RESERVED_BYTES))
        fresh.rename(file)
    finally:
        fresh.unlink(missing_ok=True)
