"""The name under which an index keeps its vectors on a server, which no other index has, copies of it included."""

import os
from pathlib import Path
from uuid import uuid4

from daco_core.errors import DacoError
from daco_core.files import replace_file

OWNER_FILE = ".owner"


def owner_of(index: Path) -> str:
    """The name of the index in a folder: eight letters and digits; the index's lock must be held.

    The file that has it also records which file it is itself: its inode, and its device or path. In a copy of the
    folder these differ, so the copy gets a name of its own, and with it collections of its own, the first time that it
    is written. So does a copy of hard links (`cp -al`), by its path. An index that is renamed, or moved on its disk,
    keeps its name. A copy of a whole disk cannot be told from the disk: do not write to both.

    Raises:
        DacoError: the file cannot be read or written.
    """
    file = index / OWNER_FILE
    try:
        try:
            name, *record = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except FileNotFoundError:
            return _write(file, uuid4().hex[:8])
        if not record:  # as earlier versions wrote it
            return _write(file, name)
        return name if _is_here(file, record) else _write(file, uuid4().hex[:8])
    except OSError as error:
        raise DacoError(f"{file} cannot be read or written: {error.strerror or error}.") from error


def _is_here(file: Path, record: list[str]) -> bool:
    """Whether a record is of the file that it stands in."""
    state = file.stat()
    inode, device, path = (*record, "", "")[:3]
    if inode != str(state.st_ino):
        return False
    # with two names, of which one may be in a copy of hard links, the path decides
    return path == str(file.resolve()) or (device == str(state.st_dev) and state.st_nlink == 1)


def _write(file: Path, name: str) -> str:
    with replace_file(file) as fresh:
        fresh.touch()  # its inode is the one that the file will have
        state = fresh.stat()
        record = f"{name}\n{state.st_ino}\n{state.st_dev}\n{os.fspath(file.resolve())}"
        fresh.write_text(record, encoding="utf-8", errors="surrogateescape")
    return name
