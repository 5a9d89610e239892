"""Atomic, durable writes: after a crash or a loss of power a path holds its old content or its new one, complete.

A new file or folder is written in a hidden folder beside the path (`.NAME.new`), synced to the disk, and renamed to the
path; then the rename is synced too. The hidden folder is locked while it is in use, and what a killed process left of
one is cleared by the next write to the same path. Writers of one path at the same time do not mix: the last one wins.

A folder that exists is exchanged with the new one in one step of the file system (Linux and macOS have one for local
disks). Where there is no such step, as on NFS, two renames follow each other; if a crash falls between them, the next
write, or `recover`, completes the second one.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEFORE = "before"  # the old folder, in the hidden one, while the new one takes its place
LONGEST_NAME = 200  # bytes of a path's name that the hidden folder can repeat, as names may have 255 in all
MOST_WRITERS = 100  # of one path at the same time
EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2), and RENAME_SWAP of macOS's renamex_np
HERE = -100  # AT_FDCWD on Linux
# what file systems answer that cannot exchange two folders, or sync or lock a folder
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EBADF, errno.ENOLCK, errno.EPERM}


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Replaces a file by one with this text, in UTF-8. Raises OSError."""
    write_bytes(path, text.encode(), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replaces a file by one with this content, made with the given mode (less the umask). Raises OSError."""
    with replace_file(path) as fresh, open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a path of the same name to write a file at; when the block ends, the file replaces the one at `path`.

    If the block raises, or writes nothing, `path` stays as it was.

    Raises:
        OSError: it cannot be written, or its folder is missing.
    """
    with _workspace(path) as workspace:
        fresh = workspace / path.name
        yield fresh
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to write into; when the block ends, it replaces the folder at `path`.

    If the block raises, `path` stays as it was.

    Raises:
        OSError: it cannot be written, or the folder around it is missing.
    """
    with _workspace(path) as workspace:
        fresh = workspace / path.name
        fresh.mkdir()
        yield fresh
        sync_tree(fresh)
        with _turn(path.parent):
            if not _is_first(fresh, path) and not _exchange(fresh, path):
                _replace_in_two_steps(fresh, path, workspace / BEFORE)
        sync(path.parent)


def link_or_copy(file: Path, to: Path) -> None:
    """Gives a file that never changes a second name, without a copy where the file system has hard links.

    Raises:
        OSError: it cannot be read or written.
    """
    try:
        to.hardlink_to(file)
    except OSError:  # a file system without hard links, or another one
        shutil.copyfile(file, to)


def recover(path: Path) -> None:
    """Completes the replacement of a folder that a crash stopped between two renames; else changes nothing."""
    if not path.exists():
        with suppress(OSError):
            _clear_leftovers(path)


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's list of names, survive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Makes a folder and all that is in it survive a loss of power. Raises OSError."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            sync(path)
    sync(folder)


@contextmanager
def _workspace(path: Path) -> Iterator[Path]:
    """The hidden folder of one write to a path: locked, empty, and removed at the end."""
    _clear_leftovers(path)
    workspace, lock = _claim(path)
    try:
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        os.close(lock)


def _workspaces(path: Path) -> list[Path]:
    """The hidden folders that writers of a path use, the first one unless another process has that."""
    name, encoded = path.name, os.fsencode(path.name)
    if len(encoded) > LONGEST_NAME:
        name = f"{os.fsdecode(encoded[:100])}-{hashlib.sha256(encoded).hexdigest()[:16]}"
    return [path.with_name(f".{name}.new{number or ''}") for number in range(MOST_WRITERS)]


def _claim(path: Path) -> tuple[Path, int]:
    """A new hidden folder, and the descriptor that holds its lock."""
    for workspace in _workspaces(path):
        try:
            workspace.mkdir()
        except FileExistsError:
            continue
        if (lock := _lock(workspace, made=True)) is not None:
            return workspace, lock
    raise OSError(errno.EBUSY, "too many processes write it at the same time", str(path))


def _lock(workspace: Path, made: bool = False) -> int | None:
    """A descriptor that holds the lock of a hidden folder, None where another process uses it.

    Args:
        made: this process has just made it: it may have it where the file system has no locks, too.
    """
    try:
        lock = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # something of that name that is no folder, or another process has just removed it
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = _is_open(workspace, lock)
    except OSError as error:
        locked = made and error.errno in UNSUPPORTED
    if locked:
        return lock
    os.close(lock)
    return None


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One writer at a time between two renames in a folder, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)


def _is_open(folder: Path, descriptor: int) -> bool:
    """Whether a descriptor is of the folder that has that name now: another process may have replaced it."""
    try:
        there, here = folder.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _clear_leftovers(path: Path) -> None:
    """Removes the hidden folders of writers that crashed; where that was between two renames, the second one follows.

    Raises:
        OSError: one cannot be removed.
    """
    for workspace in _workspaces(path):
        if not workspace.is_dir() or (lock := _lock(workspace)) is None:
            continue
        try:
            if (workspace / BEFORE).is_dir():
                with _turn(path.parent):
                    if not path.exists():
                        (workspace / path.name).rename(path)
                        sync(path.parent)
            shutil.rmtree(workspace)
        finally:
            os.close(lock)


def _is_first(fresh: Path, path: Path) -> bool:
    """Gives the folder its name if no other has it, and says whether that was so."""
    if path.is_dir():
        return False
    try:
        fresh.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.is_dir():
            return False  # another writer was faster
        raise
    return True


def _replace_in_two_steps(fresh: Path, path: Path, before: Path) -> None:
    path.rename(before)
    sync(before.parent)
    try:
        fresh.rename(path)
    except OSError:
        before.rename(path)
        raise


def _exchange(fresh: Path, path: Path) -> bool:
    """Lets two paths trade places in one step; False where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(fresh), os.fsencode(path)
    sys.audit("os.rename", str(fresh), str(path), -1, -1)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, EXCHANGE)
        else:
            failed = library.renameat2(HERE, names[0], HERE, names[1], EXCHANGE)
    except AttributeError:  # a C library without it
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(path))
