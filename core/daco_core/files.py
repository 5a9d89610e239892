"""Atomic, durable writes: after a crash or power failure a path holds either its old content or its new content.

A new file or folder is written in a hidden folder next to the path (`.NAME.new`), synced to the disk, and renamed to
the path; then the rename is synced too. The hidden folder is locked while it is in use. What a killed process left
behind is removed by the next write to the same path. If several processes write the same path at once, their files do
not mix, and the last writer wins.

An existing folder is exchanged with the new one in a single step of the file system (Linux and macOS have one for local
disks). Without such a step, as on NFS, two renames follow each other. After a crash between them, the next write, or
`recover`, completes the second one.
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

BEFORE = "before"  # the name of the old folder, inside the hidden one, while the new one takes its place
LONGEST_NAME = 200  # bytes of a path's name that the hidden folder's name repeats, as names are limited to 255 bytes
MOST_WRITERS = 100  # processes that write one path at the same time
EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2), and RENAME_SWAP of macOS's renamex_np
HERE = -100  # AT_FDCWD on Linux
# the errors of file systems that cannot exchange two folders, or cannot sync or lock a folder
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EBADF, errno.ENOLCK, errno.EPERM}


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Replaces a file by one with this text, in UTF-8. Raises OSError."""
    write_bytes(path, text.encode(), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replaces a file by one with this content, created with the given mode (minus the umask). Raises OSError."""
    with replace_file(path) as fresh, open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yields a path with the same name to write to; when the block ends, that file replaces the one at `path`.

    If the block raises, or writes nothing, `path` is unchanged.

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
    """Yields an empty folder to write into; when the block ends, it replaces the folder at `path`.

    If the block raises, `path` is unchanged.

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
    """Gives a file that never changes a second name: by a hard link if the file system has them, else by a copy.

    Raises:
        OSError: it cannot be read or written.
    """
    try:
        to.hardlink_to(file)
    except OSError:  # a file system without hard links, or two different file systems
        shutil.copyfile(file, to)


def recover(path: Path) -> None:
    """Completes the replacement of a folder if a crash interrupted it between two renames; else changes nothing."""
    if not path.exists():
        with suppress(OSError):
            _clear_leftovers(path)


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's list of names, survive a power failure. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


@contextmanager
def held_by_one_process(file: Path) -> Iterator[None]:
    """Locks a file, which is created if it is missing and stays, until the block ends or the process dies.

    On a file system without locks the block runs without one.

    Raises:
        BlockingIOError: another process, or another part of this one, holds the lock.
        OSError: the file cannot be opened.
    """
    with _locked(os.open(file, os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


def sync_tree(folder: Path) -> None:
    """Makes a folder and everything in it survive a power failure. Raises OSError."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            sync(path)
    sync(folder)


@contextmanager
def _workspace(path: Path) -> Iterator[Path]:
    """The hidden folder for one write to a path: locked, empty, and removed at the end."""
    _clear_leftovers(path)
    workspace, lock = _claim(path)
    try:
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        os.close(lock)


def _workspaces(path: Path) -> list[Path]:
    """The hidden folders that writers of a path use: the first one, unless another process holds it."""
    name, encoded = path.name, os.fsencode(path.name)
    if len(encoded) > LONGEST_NAME:
        name = f"{os.fsdecode(encoded[:100])}-{hashlib.sha256(encoded).hexdigest()[:16]}"
    return [path.with_name(f".{name}.new{number or ''}") for number in range(MOST_WRITERS)]


def _claim(path: Path) -> tuple[Path, int]:
    """Creates a hidden folder and locks it; returns it and the descriptor that holds the lock."""
    for workspace in _workspaces(path):
        try:
            workspace.mkdir()
        except FileExistsError:
            continue
        if (lock := _lock(workspace, made=True)) is not None:
            return workspace, lock
    raise OSError(errno.EBUSY, "too many processes are writing this path", str(path))


def _lock(workspace: Path, made: bool = False) -> int | None:
    """Locks a hidden folder and returns the descriptor that holds the lock; None if another process uses it.

    Args:
        made: this process has just created the folder, and may use it even if the file system has no locks.
    """
    try:
        lock = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # the name is not a folder, or another process has just removed it
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
    """Lets one writer at a time do the two renames in a folder, if the file system has locks."""
    with _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(descriptor: int, operation: int) -> Iterator[None]:
    """Locks an open file or folder, if the file system has locks, and closes it at the end."""
    try:
        try:
            fcntl.flock(descriptor, operation)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)


def _is_open(folder: Path, descriptor: int) -> bool:
    """Whether a descriptor belongs to the folder that has this name now: another process may have replaced it."""
    try:
        there, here = folder.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _clear_leftovers(path: Path) -> None:
    """Removes the hidden folders of crashed writers; after a crash between two renames, the second one is done first.

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
    """Renames the folder to the path unless something exists there; returns whether it did."""
    if path.is_dir():
        return False
    try:
        fresh.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.is_dir():
            return False  # another writer came first
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
    """Exchanges two paths in one step; returns False if the system or the file system cannot."""
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
