"""Image files to upright RGB images."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from daco_core.errors import DacoError
from daco_core.photographs.formats import count_left_out, find_format, foreign_kind, pillow_formats, readable_suffixes

# of the longer side to the shorter: where only the shorter is fixed, a thread of pixels would grow to gigabytes, as
# 1 x 60000 becomes 256 x 15 million
MAX_ASPECT = 16
REDUCED_FACTOR = 2  # so that the resizing that follows still smooths
ORIENTATION = 0x0112  # EXIF's tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height
HEAD_BYTES = 64  # of a file, which tell its format
NATIVE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
STREAM = re.compile(r" <_io\.\w+ object at 0x[0-9a-f]+>")  # how Pillow names what it reads from memory


class UnreadableImage(DacoError):
    """A file that is not an image, or is a broken one."""

    def __init__(self, path: Path | str, reason: object) -> None:
        self.path = path
        self.reason = str(reason) or type(reason).__name__  # such as a MemoryError, which has no words
        super().__init__(f"{path} cannot be read as an image: {self.reason}")

    def __reduce__(self) -> tuple[type["UnreadableImage"], tuple[Path | str, str]]:
        return UnreadableImage, (self.path, self.reason)  # so that a loader's process can hand it on


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as upright 8-bit RGB.

    Turns it as its EXIF orientation says, scales 16-bit grey by its range, and lays transparent images on white.

    Raises:
        OSError, ValueError, SyntaxError: what Pillow raises when the pixels cannot be decoded.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float32)
        image = Image.fromarray((grey * (255.0 / max(65535.0, float(grey.max())))).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def open_rgb(path: Path, shorter: int | None = None) -> Image.Image:
    """The image in a file, as `to_rgb` gives it.

    Args:
        shorter: pixels that suffice for the shorter side: a larger image is scaled down to them, a JPEG while it is
            decoded, which is several times faster for a photograph of a camera.

    Raises:
        UnreadableImage: the file is missing, not an image, truncated or too large to be one.
    """
    with _reading(path), open_image(path) as image:
        if shorter is None:
            return to_rgb(image)
        image.draft(None, (shorter, shorter))
        return _bound_shorter_side(to_rgb(image), shorter)


def open_image(path: Path | str, content: bytes | None = None) -> Image.Image:
    """An image that is opened and not yet read, by Pillow and the plugins that are installed.

    Args:
        content: the bytes of the file, where they have been read already.

    Raises:
        OSError, ValueError, SyntaxError: it is no image, or of a format that needs a package which is not installed.
    """
    if content is not None:
        head = content
    else:
        with Path(path).open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    found = find_format(head)
    if found is not None and found.suffixes[0] not in readable_suffixes():
        extra = f"pip install 'daco-serve[{found.extra}]'" if found.extra else "a newer Pillow reads it"
        raise ValueError(f"{found.name} is not supported by what is installed: {extra}")
    if (kind := foreign_kind(head)) is not None:
        raise ValueError(f"it is a file of the kind {kind}, which is not supported")
    # to import the plugins takes as long as to decode many a photograph of a format that Pillow reads by itself
    formats = pillow_formats() if found is None or found.pillow not in NATIVE else [found.pillow]
    return Image.open(path if content is None else BytesIO(content), formats=formats)


def _bound_shorter_side(image: Image.Image, shorter: int) -> Image.Image:
    width, height = image.size
    scale = shorter / min(width, height)
    if scale >= 1:
        return image
    return image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)


def open_reduced(path: Path | str, size: int, content: bytes | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """The image in a file, as `to_rgb` gives it, of a large JPEG in a smaller form; and the width and height it has.

    Args:
        size: pixels that the shorter side will be resized to; the smaller form keeps twice as many.
        content: the bytes of the file, where they have been read already.

    Raises:
        UnreadableImage: as `open_rgb`.
    """
    with _reading(path), open_image(path, content) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION, 1) in SIDEWAYS:
            width, height = height, width
        reduce_jpeg(image, size)
        return to_rgb(image), (width, height)


@contextmanager
def _reading(path: Path | str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableImage(path, "there is no such file") from error
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        reason = STREAM.sub("", str(error).replace(f" '{path}'", ""))
        raise UnreadableImage(path, reason or type(error).__name__) from error


def reduce_jpeg(image: Image.Image, size: int) -> None:
    """Has an image that is opened and not yet read decoded at 1/2, 1/4 or 1/8, which is several times faster.

    Args:
        size: pixels that the shorter side will be resized to; it is decoded with twice as many at least.
    """
    scale = REDUCED_FACTOR * size / min(image.size)
    if scale < 1:
        # asks libjpeg for the smallest of its scales that is no smaller than this; other formats have none
        image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds.

    Args:
        images: the files that can be read as images, sorted by path.
        left_out: how many files are none, by kind; see `count_left_out`.
    """

    images: list[Path]
    left_out: dict[str, int]


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name: the order that pairs domains."""
    return list_folder(folder).images


def list_folder(folder: Path) -> FolderContents:
    """What lies directly in a folder; nothing where there is none."""
    if not folder.is_dir():
        return FolderContents([], {})
    files = [path for path in folder.iterdir() if path.is_file()]
    images = (path for path in files if path.suffix.lower() in readable_suffixes() and not path.name.startswith("."))
    return FolderContents(sorted(images), count_left_out(files))


def list_images_below(folder: Path) -> list[Path]:
    """The images that `list_below` finds. Raises likewise."""
    return list_below(folder).images


def list_below(folder: Path) -> FolderContents:
    """What lies in a folder and in all folders in it; folders with a leading dot are left out.

    Raises:
        DacoError: it is not a folder, or one cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DacoError(f"{error.filename} cannot be listed: {error.strerror}.") from error

    images: list[Path] = []
    left_out: Counter[str] = Counter()
    for parent, children, _ in os.walk(folder, onerror=refuse):
        children[:] = [child for child in children if not child.startswith(".")]
        contents = list_folder(Path(parent))
        images += contents.images
        left_out.update(contents.left_out)
    return FolderContents(sorted(images), dict(left_out.most_common()))
