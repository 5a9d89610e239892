"""Photographs in object stores, read with fsspec: `s3://bucket/north`, `gs://...`, `https://...`, `file:///...`."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from PIL import Image

from daco_core.errors import DacoError, MissingExtra, StoreAway, reason_of
from daco_core.photographs.formats import count_left_out, readable_suffixes
from daco_core.photographs.frames import FRAME_FILE
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions import names, tables
from daco_core.photographs.positions.plausibility import check_plausibility
from daco_core.photographs.positions.unusable import Unusable, describe_unusable

ABSENT = "there is no such file"


# the path of a file, or its address in an object store
Source = Path | str


# errors of a disk, also of a network disk, that is away or failing, or of a machine without free file descriptors
AWAY = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN}
AWAY |= {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def is_remote(source: str) -> bool:
    """Whether a source is an address such as `s3://bucket/north` and not a path."""
    return "://" in source


@dataclass(frozen=True)
class RemoteContents:
    """The contents of an address.

    Args:
        photographs: sorted; for each its address, its relative path, and its location if known.
        other_files: number of other files, which cannot be read as photographs, by kind.
        notes: sentences about tables that do not fit, and about doubtful positions.
    """

    photographs: dict[str, tuple[str, PhotoLocation | None]]
    other_files: dict[str, int]
    notes: list[str]


def find_remote(source: str) -> RemoteContents:
    """Finds the photographs below an address.

    Locations come from tables there, and from file names, as for a folder. Those in EXIF are found later, when a
    photograph is read.

    Raises:
        DacoError: it cannot be listed, or a table there is invalid.
    """
    import fsspec  # slow to import, and most references are files

    base = source.rstrip("/")
    with _speaking_of(source, "listed"), TemporaryDirectory() as temporary:
        files, root = fsspec.core.url_to_fs(base)
        found = {PurePosixPath(key).relative_to(root).as_posix(): key for key in files.find(root)}
        shown = {name: key for name, key in found.items() if not any(part.startswith(".") for part in name.split("/"))}
        images = {name: key for name, key in shown.items() if _suffix(name) in readable_suffixes()}
        # the tables are copied to a temporary folder, and read in the same way as those of a folder
        copy = Path(temporary) / PurePosixPath(root).name
        for name in images:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
        for name, key in shown.items():
            is_table = _suffix(name) in tables.SUFFIXES or PurePosixPath(name).name == FRAME_FILE
            if is_table and (copy / name).parent.is_dir():
                files.get_file(key, str(copy / name))
        for suffix in tables.SUFFIXES:
            if images and files.isfile(root + suffix):
                files.get_file(root + suffix, str(copy.with_name(copy.name + suffix)))
        try:
            notes: list[str] = []
            located = tables.locate(copy, [copy / name for name in images], notes) if images else {}
        except DacoError as error:
            raise DacoError(str(error).replace(str(copy), base)) from error
        photographs: dict[str, tuple[str, PhotoLocation | None]] = {}
        unusable: list[tuple[Path, Unusable]] = []
        for name in sorted(images):
            found_position = located.get(copy / name) or names.find_name_position(PurePosixPath(name).name)
            if isinstance(found_position, Unusable):
                unusable.append((Path(name), found_position))
                found_position = None
            photographs[f"{base}/{name}"] = (name, found_position)
        notes += describe_unusable(unusable)
        notes += check_plausibility(
            [(Path(name), location) for name, location in photographs.values() if location is not None]
        )
        said = [note.replace(str(copy), base) for note in notes]
        return RemoteContents(photographs, count_left_out(shown), said)


def as_source(text: str) -> Source:
    """Parses a path or an address."""
    return text if is_remote(text) else Path(text)


def open_photograph(source: Source, size: int) -> Image.Image:
    """The image in a file, see `open_reduced`. Raises UnreadableImage; or StoreAway if a store does not respond."""
    return open_reduced(source, size, read_source(source))[0]


def read_source(source: Source) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableImage: the file does not exist, or there is no permission to read it.
        StoreAway: the store or disk does not respond, or this machine lacks the resources to read it.
        MissingExtra: a package for such addresses is not installed.
    """
    try:
        return source.read_bytes() if isinstance(source, Path) else _read_remote(source)
    except FileNotFoundError as error:
        raise UnreadableImage(source, ABSENT) from error
    except OSError as error:
        if error.errno in AWAY:
            raise StoreAway(f"{source} cannot be read: {reason_of(error)}.") from error
        raise UnreadableImage(source, error.strerror or error) from error


def _read_remote(address: str) -> bytes:
    import fsspec

    with _speaking_of(address, "read"):
        files, key = fsspec.core.url_to_fs(address)
        try:
            content: bytes = files.cat_file(key)
        except FileNotFoundError as error:
            raise UnreadableImage(address, ABSENT) from error
        return content


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


@contextmanager
def _speaking_of(address: str, what: str) -> Iterator[None]:
    try:
        yield
    except DacoError:
        raise
    except ImportError as error:  # fsspec's message names the package for such addresses
        raise MissingExtra(f"{address} cannot be {what}: {error}.") from error
    except Exception as error:  # each kind of store raises its own errors
        raise StoreAway(f"{address} cannot be {what}: {str(error) or type(error).__name__}.") from error
