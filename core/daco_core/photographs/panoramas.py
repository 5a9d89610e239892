"""360-degree panoramas (equirectangular pictures): how they are known, and the perspective views that they contain.

Google's Photo Sphere metadata (XMP, `GPano:`) say that a picture is one, where its middle points to, and which part of
the sphere it covers: https://developers.google.com/streetview/spherical-metadata.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.photographs.images import open_rgb

FIELD = re.compile(r'GPano:(\w+)(?:\s*=\s*["\']([^"\']*)["\']|>([^<]*)<)')
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")  # where Pillow puts it: of JPEG and WebP; of PNG
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
ASPECT_TOLERANCE = 0.01
WIDEST = 1024  # pixels of a view
FIELD_OF_VIEW = 75.0  # degrees across, about that of a phone's camera held sideways
ASPECT = 4 / 3  # of a view
LEAST_COVERED = 0.9  # of a view, by a picture that is a part of a panorama


@dataclass(frozen=True)
class Panorama:
    """What is known of an equirectangular picture before its pixels are read.

    Args:
        heading: of its middle, degrees clockwise from north; None where not known.
        full: width and height in pixels of the whole sphere, of which the picture may be a part.
        left, top: where the picture lies in it, pixels.
    """

    heading: float | None
    full: tuple[float, float]
    left: float = 0.0
    top: float = 0.0


def looks_like_panorama(width: int, height: int) -> bool:
    """Whether a picture is twice as wide as high, as the whole sphere is."""
    return abs(width - 2 * height) <= ASPECT_TOLERANCE * width


def read_panorama(path: Path, by_shape: bool = False) -> Panorama | None:
    """What a picture's metadata say of the sphere; None for a picture that is no panorama, and for no picture.

    Args:
        by_shape: take any picture that is twice as wide as high for one.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            xmp = next((image.info[key] for key in XMP_KEYS if key in image.info), "")
    except UNREADABLE:
        return None
    text = xmp.decode("utf-8", errors="replace") if isinstance(xmp, bytes) else str(xmp)
    fields = {name: attribute or element for name, attribute, element in FIELD.findall(text)}
    if fields.get("ProjectionType", "").strip().lower() != "equirectangular":
        return Panorama(None, (width, height)) if by_shape and looks_like_panorama(width, height) else None
    full_width = _number(fields, "FullPanoWidthPixels") or width
    full_height = _number(fields, "FullPanoHeightPixels") or full_width / 2
    # the fields are in pixels of the picture as it was stitched, which may have been scaled down since
    scale = width / (_number(fields, "CroppedAreaImageWidthPixels") or full_width)
    heading = _number(fields, "PoseHeadingDegrees")
    return Panorama(
        None if heading is None else heading % 360,
        (full_width * scale, full_height * scale),
        (_number(fields, "CroppedAreaLeftPixels") or 0.0) * scale,
        (_number(fields, "CroppedAreaTopPixels") or 0.0) * scale,
    )


def cut_views(path: Path, panorama: Panorama, views: int) -> dict[float, Image.Image]:
    """The perspective views of a panorama all around, at the height of the horizon.

    Returns:
        Degrees that a view looks to the right of the panorama's middle, to the view. Views of which the picture covers
        too little are left out.

    Raises:
        UnreadableImage: the picture cannot be read.
    """
    image = open_rgb(path)
    # one pixel in the middle of a view is one of the panorama
    width = round(2 * math.tan(math.radians(FIELD_OF_VIEW) / 2) * panorama.full[0] / (2 * math.pi))
    scale = min(1.0, WIDEST / width)
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    full = panorama.full[0] * scale, panorama.full[1] * scale
    pixels = np.asarray(image)
    found = {}
    for number in range(views):
        yaw = number * 360.0 / views
        columns, rows = sphere_positions(yaw, max(1, round(width * scale)), full)
        view, covered = sample(pixels, columns - panorama.left * scale, rows - panorama.top * scale, full[0])
        if covered >= LEAST_COVERED:
            found[yaw] = Image.fromarray(view)
    return found


def sphere_positions(
    yaw: float, width: int, full: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where in an equirectangular picture each pixel of a level perspective view lies, in pixels: columns and rows.

    Args:
        yaw: degrees that the view looks to the right of the picture's middle.
        width: of the view in pixels; the arrays are (width / ASPECT, width).
        full: width and height of the whole sphere in pixels.
    """
    height = max(1, round(width / ASPECT))
    reach = math.tan(math.radians(FIELD_OF_VIEW) / 2)
    right = ((np.arange(width) + 0.5) / width * 2 - 1) * reach
    down = ((np.arange(height)[:, None] + 0.5) / height * 2 - 1) * reach * height / width
    longitude = np.degrees(np.arctan2(right, 1.0)) + yaw + np.zeros_like(down)
    latitude = np.degrees(np.arctan2(-down, np.hypot(right, 1.0)))
    return (longitude / 360 + 0.5) * full[0] - 0.5, (0.5 - latitude / 180) * full[1] - 0.5


def sample(
    pixels: NDArray[np.uint8], columns: NDArray[np.float64], rows: NDArray[np.float64], around: float
) -> tuple[NDArray[np.uint8], float]:
    """Colours at positions of a picture, bilinear; across its left and right edge if it goes all around.

    Args:
        pixels: (height, width, 3).
        columns, rows: positions in pixels, two arrays of one shape.
        around: columns after which the sphere begins again.

    Returns:
        The colours, black outside of the picture; and the share of them that lie in it.
    """
    height, width = pixels.shape[:2]
    columns = (columns + 0.5) % around - 0.5
    whole = width >= around - 1
    inside = (rows > -1) & (rows < height) & (whole | (columns < width))
    left, top = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
    across, down = (columns - left)[..., None], (rows - top)[..., None]
    first, second = (
        (left % width, (left + 1) % width) if whole else (left.clip(0, width - 1), (left + 1).clip(0, width - 1))
    )
    upper, lower = top.clip(0, height - 1), (top + 1).clip(0, height - 1)
    above = pixels[upper, first] * (1 - across) + pixels[upper, second] * across
    below = pixels[lower, first] * (1 - across) + pixels[lower, second] * across
    colours = np.where(inside[..., None], above * (1 - down) + below * down, 0.0)
    return np.rint(colours).astype(np.uint8), float(inside.mean())


def _number(fields: dict[str, str], name: str) -> float | None:
    try:
        number = float(fields[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None
