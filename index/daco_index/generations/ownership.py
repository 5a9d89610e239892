"""The name under which an index stores its vectors on a server; it is unique, even among copies of the index."""

import os
from pathlib import Path
from uuid import uuid4

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file

OWNER_FILE = ".owner"


def owner_of(index: Path) -> str:
    """The unique name of the index in a folder: eight letters and digits. The caller must hold the index's lock.

    The file with the name also records its own identity: its inode, and its device or path. In a copy of the folder
    these differ, so the copy gets another name, and with it its own collections, when it is first written. The same
    holds, by the path, for a copy made of hard links (`cp -al`). An index that is renamed, or moved on its disk, keeps
    its name. A copy of a whole disk cannot be distinguished from the original: do not write to both.

    Raises:
        DacoError: the file cannot be read or written.
    """
    file = index / OWNER_FILE
    try:
        try:
            name, *record = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except FileNotFoundError:
            return _write(file, uuid4().hex[:8])
        if not record:  # written by an earlier version
            return _write(file, name)
        return name if _is_here(file, record) else _write(file, uuid4().hex[:8])
    except OSError as error:
        raise DacoError(f"{file} cannot be read or written: {reason_of(error)}.") from error


def _is_here(file: Path, record: list[str]) -> bool:
    """Whether a record belongs to the file that contains it."""
    state = file.stat()
    inode, device, path = (*record, "", "")[:3]
    if inode != str(state.st_ino):
        return False
    # if the file has two names, one of them may be in a copy made of hard links, so the path decides
    return path == str(file.resolve()) or (device == str(state.st_dev) and state.st_nlink == 1)


def _write(file: Path, name: str) -> str:
    with replace_file(file) as fresh:
        fresh.touch()  # the final file will have this inode
        state = fresh.stat()
        record = f"{name}\n{state.st_ino}\n{state.st_dev}\n{os.fspath(file.resolve())}"
        fresh.write_text(record, encoding="utf-8", errors="surrogateescape")
    return name
