"""Generations on disk: written to a temporary folder, synced, and published by one atomic rename.

INDEX/CURRENT            "<n> <SHA-256 of generations/<n>/manifest.json>": the live generation, and the start of the
                         chain of hashes that covers every byte of it
INDEX/generations/<n>/   a finished generation, never changed again
INDEX/generations/<n>/manifest.json.sha256
                         the same hash, for when CURRENT names another generation
INDEX/generations/.embedded/
                         descriptors made by a run that has not published yet; the next run resumes from them
INDEX/generations/.*     being written or being removed; what a crash leaves of it, the next writer clears away
INDEX/photographs/       what was made for this index, such as the frames of a video: a folder for each recording or
                         panorama, deleted with the last generation that uses it
INDEX/calibration.json   how far answers can be trusted, fitted on queries; it belongs to no generation, and
                         daco-bench calibrate writes it
INDEX/.lock              held by the one process that writes
INDEX/.owner             a name that no other index has, for what it keeps on a server; a copy gets another one
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from daco_core.errors import DacoError, DamagedIndex, NotFound, StoreAway, UsageError, reason_of
from daco_core.files import sync, sync_tree, write_text
from daco_index.generations.manifest import MANIFEST_FILE, REMEDY, sha256_of
from daco_index.generations.ownership import owner_of
from daco_index.references.unused_photographs import REMOVED, delete_unused, finish_deletion

CURRENT_FILE = "CURRENT"
CURRENT_FORM = re.compile(r"([1-9][0-9]*) ([0-9a-f]{64})\n")
GENERATIONS = "generations"
EMBEDDED = ".embedded"
CALIBRATION_FILE = "calibration.json"
PHOTOGRAPHS = "photographs"
UNPUBLISHED = ".unpublished"  # suffix of a generation that is being deleted and was never published
LOCK_FILE = ".lock"
MANIFEST_HASH_FILE = f"{MANIFEST_FILE}.sha256"
KEPT = 2  # generations: the live one and the previous one


@dataclass(frozen=True)
class Current:
    """The contents of `CURRENT`: the live generation, and the hash of its manifest."""

    generation: int
    manifest_sha256: str


def generation_folder(index: Path, generation: int) -> Path:
    """The folder of a generation."""
    return index / GENERATIONS / str(generation)


def finished_generations(index: Path) -> list[int]:
    """The numbers of the generations in an index, ascending; the live one need not be the last.

    Raises:
        StoreAway: the folder cannot be listed now.
    """
    folder = index / GENERATIONS
    try:
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreAway(f"{folder} cannot be listed: {reason_of(error)}.") from error


def read_current(index: Path) -> Current:
    """The live generation of an index.

    Raises:
        DacoError: the folder is missing, contains no index, or `CURRENT` is damaged.
    """
    file = index / CURRENT_FILE
    try:
        text = file.read_bytes().decode("ascii", errors="replace")
    except OSError as error:
        what = "is not a folder" if not index.is_dir() else f"contains no index: {CURRENT_FILE} cannot be read"
        raise NotFound(f"{index} {what}. Create one with daco-index build.") from error
    match = CURRENT_FORM.fullmatch(text)
    if match is None:
        raise DamagedIndex(f"The index is damaged: {file} does not name a generation. {REMEDY}")
    return Current(int(match[1]), match[2])


def read_kept(index: Path, generation: int) -> Current:
    """A generation in an index, live or not, with the hash of its manifest.

    Raises:
        DacoError: the file with the hash cannot be read or is damaged.
    """
    with suppress(DacoError):
        if (current := read_current(index)).generation == generation:
            return current
    folder = generation_folder(index, generation)
    file = folder / MANIFEST_HASH_FILE
    try:
        # indexes of format 1 have no such file; their manifest is hashed as it is
        noted = file.exists() or file.is_symlink()
        sha256 = file.read_text(encoding="ascii").strip() if noted else sha256_of(folder / MANIFEST_FILE)
    except (OSError, ValueError) as error:
        raise DamagedIndex(f"The index is damaged: {file} cannot be read ({reason_of(error)}). {REMEDY}") from error
    return Current(generation, sha256)


def embedded_folder(index: Path) -> Path:
    """The folder for descriptors that are not published yet; it remains when a writer is interrupted."""
    return index / GENERATIONS / EMBEDDED


def check_folder(index: Path) -> None:
    """Checks that a folder, if it exists, contains nothing but an index. Raises UsageError."""
    if not index.is_dir():
        return
    strangers = {path.name for path in index.iterdir() if not path.name.startswith(".")}
    if strangers - {CURRENT_FILE, GENERATIONS, CALIBRATION_FILE, PHOTOGRAPHS}:
        raise UsageError(f"{index} contains other files than an index: name another folder.")


class Writer:
    """The one process that may change an index; use it as a context manager.

    Args:
        index: the folder, created if it is missing.
        keep: number of generations to keep when one is published, including the new one; at least 1.

    Raises:
        DacoError: another process is writing the index, it cannot be written, or the folder contains something else.
    """

    def __init__(self, index: Path, keep: int = KEPT) -> None:
        self.index = index
        self._keep = keep
        self._generations = index / GENERATIONS
        self._lock = -1

    def __enter__(self) -> "Writer":
        try:
            check_folder(self.index)
            self._generations.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.index / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise DacoError(f"{self.index} is being written by another process: wait until it has finished.") from error
        except OSError as error:
            self._unlock()
            raise DacoError(f"No index can be written to {self.index}: {reason_of(error)}.") from error
        try:
            self._clear()
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unlock()

    @property
    def embedded(self) -> Path:
        return embedded_folder(self.index)

    @property
    def owner(self) -> str:
        """A name unique to this index, different even in copies: eight letters and digits. Raises DacoError."""
        return owner_of(self.index)

    def forget_embedded(self) -> None:
        """Deletes the unpublished descriptors, after they were published."""
        shutil.rmtree(self.embedded, ignore_errors=True)

    @contextmanager
    def new_generation(self) -> Iterator[tuple[int, Path]]:
        """Yields the number and the empty folder of a new generation, and publishes it at the end.

        On any error, including Ctrl-C, the folder is removed and the previous generation stays in use.

        Raises:
            DacoError: the disk is full or cannot be written.
        """
        live = self._live()
        number = max([*finished_generations(self.index), live or 0]) + 1
        partial = self._generations / f".{number}.{uuid4().hex[:8]}.partial"
        final = generation_folder(self.index, number)
        in_use = -1
        renamed = False
        try:
            partial.mkdir()
            in_use = _lock(partial)  # a lock of its own, so that no other process removes the folder
            yield number, partial
            (partial / MANIFEST_HASH_FILE).write_text(f"{sha256_of(partial / MANIFEST_FILE)}\n", encoding="ascii")
            sync_tree(partial)
            self._check_lock()
            partial.rename(final)
            renamed = True
            sync(self._generations)
            self._check_lock()
            self._publish(number)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            published = self._is_published(number) if renamed else False
            if renamed and published is False:
                shutil.rmtree(final, ignore_errors=True)
            if isinstance(error, OSError | DacoError):
                raise DacoError(self._what_failed(error, live, number, published)) from error
            raise
        finally:
            if in_use >= 0:
                os.close(in_use)
        self._prune(number)

    def _check_lock(self) -> None:
        """Raises DacoError if `.lock` is no longer the file that this process locked, because somebody removed it."""
        with suppress(FileNotFoundError):
            if (self.index / LOCK_FILE).stat().st_ino == os.fstat(self._lock).st_ino:
                return
        raise DacoError(f"{LOCK_FILE} was removed in the meantime, so another process may be writing")

    def _publish(self, number: int) -> None:
        manifest_sha256 = sha256_of(generation_folder(self.index, number) / MANIFEST_FILE)
        write_text(self.index / CURRENT_FILE, f"{number} {manifest_sha256}\n")

    def _is_published(self, number: int) -> bool | None:
        """Whether `CURRENT` names a generation; None if it cannot be read."""
        try:
            return (self.index / CURRENT_FILE).read_bytes().startswith(f"{number} ".encode())
        except FileNotFoundError:
            return False
        except OSError:
            return None

    def _what_failed(self, error: OSError | DacoError, live: int | None, number: int, published: bool | None) -> str:
        """Describes an error at any step of a new generation, and which generation is in use."""
        reason = reason_of(error)
        if published:
            return (
                f"Generation {number} of {self.index} is published and in use, but the disk failed afterwards"
                f" ({reason}), so a power failure could still undo it: check the index with daco-index verify."
            )
        if published is None:
            return (
                f"The disk of {self.index} failed while generation {number} was being published ({reason}). Whether"
                f" generation {number} or {live or 'none'} is in use cannot be read: check with daco-index info."
            )
        answers = self._live()
        kept = "there is none yet" if answers is None else f"generation {answers} is intact and stays in use"
        return f"The index in {self.index} cannot be written ({reason}); {kept}."

    def _live(self) -> int | None:
        """The live generation; None if there is none, or if `CURRENT` is damaged and a new build will repair it."""
        with suppress(DacoError):
            return read_current(self.index).generation
        return None

    def _clear(self) -> None:
        """Removes what a crash left: half-written folders, and a finished generation that was never published."""
        finish_deletion(self.index / PHOTOGRAPHS)
        for path in self._generations.glob(".*"):
            if path.name != EMBEDDED and not _is_in_use(path):
                if path.name.endswith(REMOVED):
                    self._delete_photographs(path)
                shutil.rmtree(path, ignore_errors=True)
        live = self._live()
        if live is not None:
            for number in finished_generations(self.index):
                if number > live:
                    self._remove(number, was_published=False)  # the same command resumes, with the same frames

    def _prune(self, live: int) -> None:
        for number in finished_generations(self.index)[: -self._keep]:
            if number != live:
                self._remove(number)

    def _remove(self, number: int, was_published: bool = True) -> None:
        folder = generation_folder(self.index, number)
        if _is_in_use(folder):
            return
        # renamed first, so that no crash leaves half a generation under its number
        doomed = self._generations / f".{number}{REMOVED if was_published else UNPUBLISHED}"
        with suppress(OSError):
            folder.rename(doomed)
            if was_published:
                self._delete_photographs(doomed)  # before the manifest, which still names them after a crash
            shutil.rmtree(doomed, ignore_errors=True)

    def _delete_photographs(self, going: Path) -> None:
        """Deletes the photographs that were made for a generation that is being deleted, if no other one uses them."""
        staying = [generation_folder(self.index, number) for number in finished_generations(self.index)]
        delete_unused(self.index / PHOTOGRAPHS, going, staying)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock(folder: Path) -> int:
    """A descriptor that marks a folder as in use until it is closed; -1 if the file system has no such locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def _is_in_use(folder: Path) -> bool:
    """Whether another process, or another writer of this one, uses a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
