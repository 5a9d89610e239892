"""Recognises 360-degree panoramas (equirectangular images), and cuts perspective views out of them.

Google's Photo Sphere metadata (XMP, `GPano:`) state that an image is a panorama, the direction of its middle, and the
part of the sphere that it covers: https://developers.google.com/streetview/spherical-metadata.
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
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")  # where Pillow puts XMP: of JPEG and WebP; of PNG
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
ASPECT_TOLERANCE = 0.01
WIDEST = 1024  # the largest width of a view in pixels
FIELD_OF_VIEW = 75.0  # horizontal, in degrees; about that of a phone's camera in landscape
ASPECT = 4 / 3  # width to height of a view
LEAST_COVERED = 0.9  # the share of a view that a partial panorama must cover


@dataclass(frozen=True)
class Panorama:
    """The metadata of an equirectangular image.

    Args:
        heading: of its middle, degrees clockwise from north; None if unknown.
        full: width and height in pixels of the whole sphere, of which the image may be a part.
        left, top: the position of the image in the sphere, in pixels.
        pitch: of its middle, degrees above the horizon.
        roll: degrees by which the camera was turned clockwise, so that the horizon in the image is turned
            counterclockwise.
    """

    heading: float | None
    full: tuple[float, float]
    left: float = 0.0
    top: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


def looks_like_panorama(width: int, height: int) -> bool:
    """Whether an image is twice as wide as high, as a complete equirectangular image is."""
    return width > 0 and abs(width - 2 * height) <= ASPECT_TOLERANCE * width


PANORAMA_WARNING = (
    "It is twice as wide as high, like a 360-degree panorama, and was looked up as a whole: look up a part of it that"
    " a camera would show."
)


def read_panorama(path: Path, by_shape: bool = False) -> Panorama | None:
    """Reads the panorama metadata of an image file; None if it is not a panorama, or not an image.

    Args:
        by_shape: treat any image that is twice as wide as high as a panorama.
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
    # the fields are in pixels of the stitched image, which may have been scaled down since
    scale = width / (_number(fields, "CroppedAreaImageWidthPixels") or full_width)
    heading = _number(fields, "PoseHeadingDegrees")
    return Panorama(
        None if heading is None else heading % 360,
        (full_width * scale, full_height * scale),
        (_number(fields, "CroppedAreaLeftPixels") or 0.0) * scale,
        (_number(fields, "CroppedAreaTopPixels") or 0.0) * scale,
        pitch=_number(fields, "PosePitchDegrees") or 0.0,
        roll=_number(fields, "PoseRollDegrees") or 0.0,
    )


def cut_views(path: Path, panorama: Panorama, views: int) -> dict[float, Image.Image]:
    """Cuts perspective views out of a panorama, evenly spaced all around and level with the horizon.

    Returns:
        The view for each direction, in degrees to the right of the panorama's middle. Views of which the image covers
        too little are left out.

    Raises:
        UnreadableImage: the image cannot be read.
    """
    image = open_rgb(path)
    # a pixel in the middle of a view is as large as one of the panorama
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
        columns, rows = sphere_positions(yaw, max(1, round(width * scale)), full, panorama.pitch, panorama.roll)
        view, covered = sample(pixels, columns - panorama.left * scale, rows - panorama.top * scale, full[0])
        if covered >= LEAST_COVERED:
            found[yaw] = Image.fromarray(view)
    return found


def sphere_positions(
    yaw: float, width: int, full: tuple[float, float], pitch: float = 0.0, roll: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The position in an equirectangular image of each pixel of a level perspective view: columns and rows, in pixels.

    Args:
        yaw: degrees from the middle of the image to the middle of the view, clockwise.
        width: of the view in pixels; the arrays are (width / ASPECT, width).
        full: width and height of the whole sphere in pixels.
        pitch, roll: of the camera of the panorama, as `Panorama` has them.
    """
    height = max(1, round(width / ASPECT))
    reach = math.tan(math.radians(FIELD_OF_VIEW) / 2)
    right = ((np.arange(width) + 0.5) / width * 2 - 1) * reach
    down = ((np.arange(height)[:, None] + 0.5) / height * 2 - 1) * reach * height / width
    turn = math.radians(yaw)
    level = np.stack(  # (height, width, 3): the direction of each pixel, to the right, upwards, forwards
        np.broadcast_arrays(right * math.cos(turn) + math.sin(turn), -down, math.cos(turn) - right * math.sin(turn)),
        axis=-1,
    )
    aside, up, ahead = np.moveaxis(level @ _camera_axes(pitch, roll).T, -1, 0)
    longitude = np.degrees(np.arctan2(aside, ahead))
    latitude = np.degrees(np.arctan2(up, np.hypot(aside, ahead)))
    return (longitude / 360 + 0.5) * full[0] - 0.5, (0.5 - latitude / 180) * full[1] - 0.5


def _camera_axes(pitch: float, roll: float) -> NDArray[np.float64]:
    """The axes of a camera in a level frame, (3, 3): a row each for right, up and forward."""
    up, over = math.radians(pitch), math.radians(roll)
    upright = np.array([0.0, math.cos(up), -math.sin(up)])
    sideways = np.array([1.0, 0.0, 0.0])
    return np.stack(
        [
            math.cos(over) * sideways - math.sin(over) * upright,
            math.cos(over) * upright + math.sin(over) * sideways,
            np.array([0.0, math.sin(up), math.cos(up)]),
        ]
    )


def sample(
    pixels: NDArray[np.uint8], columns: NDArray[np.float64], rows: NDArray[np.float64], around: float
) -> tuple[NDArray[np.uint8], float]:
    """Samples an image bilinearly; across its left and right edge if it covers the full circle.

    Args:
        pixels: (height, width, 3).
        columns, rows: positions in pixels, two arrays of the same shape.
        around: the number of columns after which the sphere repeats.

    Returns:
        The colours, black outside of the image; and the share of the positions that lie inside it.
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
