"""The supported image formats, for folders and object stores, training, and the server.

HEIC needs the package pi-heif (extra `heif`), which contains libheif without its GPL-licensed encoder; pillow-heif
works as well. Pillow reads AVIF itself from version 11.3 on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePath

from PIL import features

HEIF_PACKAGES = ("pi_heif", "pillow_heif")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
BRANDS_END = 64  # the list of a container's brands is searched in this many bytes of the file
# files next to photographs that are read as positions, or are known to be none
TABLES = frozenset({".csv", ".tsv", ".geojson", ".json", ".gpx"})
# files that operating systems create in folders by themselves
LITTER = frozenset({"thumbs.db", "desktop.ini", "icon\r"})


@dataclass(frozen=True)
class ImageFormat:
    """An image format.

    Args:
        name: as people call it.
        pillow: the name of the Pillow plugin that reads it.
        suffixes: of its files, in lower case.
        media_type: its type in HTTP.
        starts: (offset, bytes), any of which identifies a file of this format.
        extra: the extra of this project that installs the reader; None if Pillow reads the format itself.
    """

    name: str
    pillow: str
    suffixes: tuple[str, ...]
    media_type: str
    starts: tuple[tuple[int, bytes], ...]
    extra: str | None = None


FORMATS = (
    ImageFormat("JPEG", "JPEG", (".jpg", ".jpeg"), "image/jpeg", ((0, b"\xff\xd8\xff"),)),
    ImageFormat("PNG", "PNG", (".png",), "image/png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ImageFormat("WebP", "WEBP", (".webp",), "image/webp", ((8, b"WEBP"),)),
    ImageFormat("TIFF", "TIFF", (".tif", ".tiff"), "image/tiff", ((0, b"II*\0"), (0, b"MM\0*"))),
    ImageFormat("BMP", "BMP", (".bmp",), "image/bmp", ((0, b"BM"),)),
    ImageFormat("AVIF", "AVIF", (".avif",), "image/avif", tuple((4, b"ftyp" + brand) for brand in AVIF_BRANDS)),
    ImageFormat(
        "HEIC", "HEIF", (".heic", ".heif"), "image/heic", tuple((4, b"ftyp" + brand) for brand in HEIC_BRANDS), "heif"
    ),
)
# other names that people send
FOREIGN = {
    (0, b"GIF8"): "GIF",
    (8, b"CR\x02\0"): "raw (CR2)",
    (4, b"ftypcrx "): "raw (CR3)",
    (0, b"FUJIFILMCCD-RAW"): "raw (RAF)",
    (0, b"IIRO"): "raw (ORF)",
    (0, b"\xff\x0a"): "JPEG XL",
    (0, b"\0\0\0\x0cJXL \r\n\x87\n"): "JPEG XL",
    (4, b"jP  \r\n\x87\n"): "JPEG 2000",
    (0, b"8BPS"): "Photoshop",
    (0, b"%PDF"): "PDF",
    (0, b"<svg"): "SVG",
    (4, b"ftypqt  "): "video",
    (4, b"ftypisom"): "video",
    (4, b"ftypmp4"): "video",
    (0, b"\x1aE\xdf\xa3"): "video",
    (0, b"PK\x03\x04"): "ZIP",
}


@cache
def _is_readable(image_format: ImageFormat) -> bool:
    if image_format.name == "AVIF":
        return bool(features.check("avif"))
    return image_format.extra is None or any(find_spec(package) for package in HEIF_PACKAGES)


def readable_formats() -> tuple[ImageFormat, ...]:
    """The formats that the installed packages can read."""
    return tuple(one for one in FORMATS if _is_readable(one))


@cache
def readable_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of files that the installed packages can read."""
    return frozenset(suffix for one in readable_formats() for suffix in one.suffixes)


@cache
def pillow_formats() -> tuple[str, ...]:
    """Registers the plugins that are not part of Pillow, and returns Pillow's names of all readable formats.

    The plugins decode each image in one thread, because callers already use as many threads as there are cores.
    """
    for package in HEIF_PACKAGES:
        with suppress(ImportError):
            import_module(package).register_heif_opener(thumbnails=False, decode_threads=1)
            break
    with suppress(ImportError):
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return tuple(one.pillow for one in readable_formats())


def find_format(content: bytes | memoryview) -> ImageFormat | None:
    """The format that a file's first bytes indicate, whether it can be read here or not; None for unknown ones."""
    head = bytes(content[:BRANDS_END])
    if _kind(head, FOREIGN) is not None:
        return None
    for one in FORMATS:
        if any(head.startswith(start, offset) for offset, start in one.starts):
            # a container that several formats use: the brands that follow tell them apart
            if one.name == "HEIC" and any(brand in head[16:] for brand in AVIF_BRANDS):
                return next(other for other in FORMATS if other.name == "AVIF")
            return one
    return None


def foreign_kind(content: bytes) -> str | None:
    """What people call an unsupported kind of file, by its first bytes; None if unknown."""
    return _kind(content, FOREIGN)


def _kind(content: bytes, kinds: Mapping[tuple[int, bytes], str]) -> str | None:
    return next((name for (offset, start), name in kinds.items() if content.startswith(start, offset)), None)


def formats_in_words() -> str:
    """The readable formats as a list in a sentence: `JPEG, PNG or WebP`."""
    names = [one.name for one in readable_formats()]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def media_type(suffix: str) -> str | None:
    """The media type for a suffix."""
    return next((one.media_type for one in FORMATS if suffix.lower() in one.suffixes), None)


def count_left_out(names: Iterable[str | PurePath]) -> dict[str, int]:
    """Counts the files that cannot be read as photographs, by kind: `HEIC`, `MOV`, `TXT`.

    Tables of positions, hidden files and files that operating systems create do not count.
    """
    kinds: Counter[str] = Counter()
    for path in map(PurePath, names):
        suffix = path.suffix.lower()
        hidden = path.name.startswith((".", "~$")) or path.name.lower() in LITTER
        if not hidden and suffix not in readable_suffixes() and suffix not in TABLES:
            known = next((one.name for one in FORMATS if suffix in one.suffixes), None)
            kinds[known or suffix[1:].upper() or "without a suffix"] += 1
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def left_out_sentence(kinds: Mapping[str, int]) -> str:
    """A sentence that says how many files were left out; empty if none were."""
    if not kinds:
        return ""
    extras = {one.name: one.extra for one in FORMATS if one.extra is not None}
    hints = {name: f" (pip install 'daco-serve[{extra}]')" for name, extra in extras.items()}
    return "left out: " + ", ".join(f"{count} {kind}{hints.get(kind, '')}" for kind, count in kinds.items())


def skipped_words(unreadable: int, left_out: Mapping[str, int]) -> str:
    """How many files were not used, to follow a count of photographs; empty if all were.

    Args:
        unreadable: number of photographs that cannot be read.
        left_out: number of files of other kinds, by kind.
    """
    skipped = f", {unreadable} unreadable skipped" if unreadable else ""
    return skipped + (f" ({left_out_sentence(left_out)})" if left_out else "")
