"""Writes exported files atomically, and turns failures into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.files import replace_file, replace_folder


@contextmanager
def written_file(file: Path) -> Iterator[Path]:
    """Yields a path to write to; the file replaces `file` at the end. On an error nothing changes. Raises DacoError."""
    try:
        with replace_file(file) as fresh:
            yield fresh
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {reason_of(error)}.") from error


@contextmanager
def written_folder(folder: Path) -> Iterator[Path]:
    """Like `written_file`, for a new or empty folder.

    Raises:
        UsageError: the folder is not empty.
        DacoError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder: name a new one.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(folder) as fresh:
            yield fresh
    except OSError as error:
        raise DacoError(f"{folder} cannot be written: {reason_of(error)}.") from error
