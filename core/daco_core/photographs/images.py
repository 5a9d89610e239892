"""Decodes image files as upright RGB images, and lists the images in folders."""

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

# the longer side divided by the shorter: if only the shorter side is fixed, a very narrow image would grow to
# gigabytes, as 1 x 60000 becomes 256 x 15 million
MAX_ASPECT = 16
REDUCED_FACTOR = 2  # decode at this many times the target size, so that the resizing that follows still smooths
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # values of that tag that swap width and height
HEAD_BYTES = 64  # the first bytes of a file, by which its format is recognised
NATIVE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
STREAM = re.compile(r" <_io\.\w+ object at 0x[0-9a-f]+>")  # how Pillow refers to images in memory


class UnreadableImage(DacoError):
    """A file is not an image, or is damaged."""

    def __init__(self, path: Path | str, reason: object) -> None:
        self.path = path
        self.reason = str(reason) or type(reason).__name__  # some errors, such as MemoryError, have no text
        super().__init__(f"{path} cannot be read as an image: {self.reason}")

    def __reduce__(self) -> tuple[type["UnreadableImage"], tuple[Path | str, str]]:
        return UnreadableImage, (self.path, self.reason)  # so that it can be sent between processes


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to upright 8-bit RGB.

    Rotates it by its EXIF orientation, scales 16-bit grey by its range, and puts transparent images on white.

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
    """Opens the image in a file and converts it as `to_rgb` does.

    Args:
        shorter: the size of the shorter side, in pixels, that suffices. Larger images are scaled down to it; a JPEG
            is scaled while it is decoded, which is several times faster for photographs of cameras.

    Raises:
        UnreadableImage: the file is missing, not an image, truncated or too large.
    """
    with _reading(path), open_image(path) as image:
        if shorter is None:
            return to_rgb(image)
        image.draft(None, (shorter, shorter))
        return _bound_shorter_side(to_rgb(image), shorter)


def open_image(path: Path | str, content: bytes | None = None) -> Image.Image:
    """Opens an image without decoding it, by Pillow and the installed plugins.

    Args:
        content: the bytes of the file, if they have been read already.

    Raises:
        OSError, ValueError, SyntaxError: it is not an image, or its format needs a package that is not installed.
    """
    if content is not None:
        head = content
    else:
        with Path(path).open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    found = find_format(head)
    if found is not None and found.suffixes[0] not in readable_suffixes():
        extra = f"pip install 'daco-serve[{found.extra}]'" if found.extra else "install a newer Pillow"
        raise ValueError(f"no installed package reads {found.name}: {extra}")
    if (kind := foreign_kind(head)) is not None:
        raise ValueError(f"files of the kind {kind} are not supported")
    # importing the plugins takes as long as decoding many photographs in a format that Pillow reads by itself
    formats = pillow_formats() if found is None or found.pillow not in NATIVE else [found.pillow]
    return Image.open(path if content is None else BytesIO(content), formats=formats)


def _bound_shorter_side(image: Image.Image, shorter: int) -> Image.Image:
    width, height = image.size
    scale = shorter / min(width, height)
    if scale >= 1:
        return image
    return image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)


def open_reduced(path: Path | str, size: int, content: bytes | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Opens the image in a file as `to_rgb` does, a large JPEG at reduced size; and returns its full width and height.

    Args:
        size: the size, in pixels, that the shorter side will be resized to; the reduced image has at least twice that.
        content: the bytes of the file, if they have been read already.

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
    """Makes an opened JPEG decode at 1/2, 1/4 or 1/8 of its size, which is several times faster.

    Args:
        size: the size, in pixels, that the shorter side will be resized to; the decoded side has at least twice that.
    """
    scale = REDUCED_FACTOR * size / min(image.size)
    if scale < 1:
        # asks libjpeg for the smallest scale that is not below this; other formats have no scales
        image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


@dataclass(frozen=True)
class FolderContents:
    """The images in a folder, and what else is there.

    Args:
        images: the files that can be read as images, sorted by path.
        left_out: the number of other files, by kind; see `count_left_out`.
    """

    images: list[Path]
    left_out: dict[str, int]


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name: the order that pairs domains."""
    return list_folder(folder).images


def list_folder(folder: Path) -> FolderContents:
    """The images directly in a folder; empty if the folder does not exist."""
    if not folder.is_dir():
        return FolderContents([], {})
    files = [path for path in folder.iterdir() if path.is_file()]
    images = (path for path in files if path.suffix.lower() in readable_suffixes() and not path.name.startswith("."))
    return FolderContents(sorted(images), count_left_out(files))


def list_images_below(folder: Path) -> list[Path]:
    """The images that `list_below` finds. Raises the same errors."""
    return list_below(folder).images


def list_below(folder: Path) -> FolderContents:
    """The images in a folder and in all folders below it, except hidden ones (with a leading dot).

    Raises:
        DacoError: it is not a folder, or a folder cannot be listed.
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
