"""Reads reference photographs, if they are unchanged since they were indexed, without delaying queries."""

import asyncio
import errno
import hashlib
import math
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.images import open_reduced
from daco_index.search.catalog import Entry
from daco_serve.engine.answers import QueryError

READERS = 4  # threads that read from disks
SECONDS = 5.0  # in which a disk must respond
THUMBNAIL_QUALITY = 85
CACHE_BYTES = 32 * 2**20
REMEMBERED = 65536  # files whose hashes are remembered
# the errors that say that a file does not exist; other errors are those of the disk, and may be temporary
GONE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR}

Result = TypeVar("Result")


class ReferenceFiles:
    """Reads in its own threads, so that a disk that hangs delays nothing else.

    A file is shown only if its bytes have the hash in the index: one that was changed since, or replaced by a link to
    another file, counts as missing. A file is not hashed again as long as its identity, size and times stay the same.

    Args:
        makers: number of threads that make thumbnails.
    """

    def __init__(self, makers: int) -> None:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reference")
        self._makers = ThreadPoolExecutor(makers, thread_name_prefix="thumbnail")
        self._lock = threading.Lock()
        self._verified: OrderedDict[tuple[str, str], tuple[int, ...]] = OrderedDict()
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    async def verified(self, entry: Entry) -> Path:
        """The path of the photograph, after checking that it is unchanged.

        Raises:
            QueryError: it is missing or changed (`reference_gone`), or its disk does not respond (`reference_away`).
        """
        await self._read(entry, lambda: self._verify(entry))
        return Path(entry.path)

    async def thumbnail(self, entry: Entry, width: int) -> bytes:
        """An upright JPEG of at most this width. Raises the errors of `verified`."""
        key = (entry.sha256, width)
        with self._lock:
            if key in self._thumbnails:
                self._thumbnails.move_to_end(key)
                return self._thumbnails[key]
        content = await self._read(entry, lambda: _matching_content(entry))
        made = await asyncio.get_running_loop().run_in_executor(self._makers, _smaller, entry, content, width)
        with self._lock:
            self._bytes += len(made) - len(self._thumbnails.pop(key, b""))
            self._thumbnails[key] = made
            while self._bytes > CACHE_BYTES:
                self._bytes -= len(self._thumbnails.popitem(last=False)[1])
        return made

    def close(self) -> None:
        """Ends its threads when they are idle."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._makers.shutdown(wait=False)

    async def _read(self, entry: Entry, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except OSError as error:  # and TimeoutError
            if error.errno in GONE:
                raise _gone(entry) from error
            raise QueryError(
                "reference_away", f"The disk with reference photograph {entry.id} does not respond."
            ) from error

    def _verify(self, entry: Entry) -> None:
        """Raises OSError; or QueryError if the file has changed."""
        found = Path(entry.path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise _gone(entry)
        key = (entry.path, entry.sha256)
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        with self._lock:
            if self._verified.get(key) == identity and os.access(entry.path, os.R_OK):
                return
        _matching_content(entry)
        with self._lock:
            self._verified[key] = identity
            if len(self._verified) > REMEMBERED:
                self._verified.popitem(last=False)


def _matching_content(entry: Entry) -> bytes:
    """The bytes of the file. Raises OSError; or QueryError if they have changed since they were indexed."""
    if not stat.S_ISREG(Path(entry.path).stat().st_mode):  # opening a pipe would wait for a writer
        raise _gone(entry)
    content = Path(entry.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise _gone(entry)
    return content


def _smaller(entry: Entry, content: bytes, width: int) -> bytes:
    shorter = math.ceil(width * min(1.0, entry.height / max(1, entry.width)))
    try:
        image, _ = open_reduced(entry.path, shorter, content)
    except DacoError as error:
        raise _gone(entry) from error
    image.thumbnail((width, image.height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


def _gone(entry: Entry) -> QueryError:
    return QueryError(
        "reference_gone",
        f"The file of reference photograph {entry.id} was moved, deleted or changed since it was indexed.",
    )
