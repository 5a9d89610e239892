"""Positions from the GPS fields that a camera wrote into a photograph's EXIF."""

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from daco_core.photographs.images import open_image
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions.unusable import Unusable

# what Pillow raises for files that are not images, and for damaged EXIF
UNREADABLE = (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error, Image.DecompressionBombError)


def read_exif(image: Path, content: bytes | None = None) -> PhotoLocation | None:
    """As `find_exif_position`, without the reasons: None if there is no position that can be used."""
    found = find_exif_position(image, content)
    return None if isinstance(found, Unusable) else found


def find_exif_position(image: Path, content: bytes | None = None) -> PhotoLocation | Unusable | None:
    """Position, direction and altitude from the GPS fields of a photograph; None if there is no position or no image.

    The heading is GPSImgDirection unchanged: if it is relative to magnetic north, the declination is not corrected.
    Latitude 0, longitude 0 is what cameras write before they have a fix; it cannot be used.

    Args:
        content: the bytes of the file, if they have been read already.
    """
    try:
        with open_image(image, content) as opened:
            gps = opened.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    except UNREADABLE:
        return None
    parts = gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLongitude)
    if parts == (None, None):
        return None
    latitude = _degrees(parts[0], gps.get(ExifTags.GPS.GPSLatitudeRef), "S")
    longitude = _degrees(parts[1], gps.get(ExifTags.GPS.GPSLongitudeRef), "W")
    if latitude is None or longitude is None:
        return Unusable("EXIF", "its latitude and longitude are not two numbers")
    if (latitude, longitude) == (0, 0):
        return Unusable("EXIF", "it is latitude 0, longitude 0, which cameras write before they have a fix")
    if abs(latitude) > 90 or abs(longitude) > 180:
        return Unusable("EXIF", "it is not a place on the earth")
    heading = _number(gps.get(ExifTags.GPS.GPSImgDirection))
    return PhotoLocation(latitude, longitude, None if heading is None else heading % 360, altitude=_altitude(gps))


def _altitude(gps: Mapping[int, Any]) -> float | None:
    """Metres above the sea, or above the ellipsoid if EXIF 3.0 says so; None if there is none."""
    height = _number(gps.get(ExifTags.GPS.GPSAltitude))
    if height is None:
        return None
    reference = gps.get(ExifTags.GPS.GPSAltitudeRef, 0)
    # a byte: 0 and 2 mean above, 1 and 3 below; some writers store the digit as text
    digit = reference[0] if isinstance(reference, bytes) and reference else reference
    below = str(digit) in ("1", "3", "49", "51")
    return -abs(height) if below else height


def _degrees(parts: Any, reference: Any, negative: str) -> float | None:
    """Degrees, minutes and seconds with their N/S/E/W letter as signed degrees; None if they are not numbers."""
    if not isinstance(parts, tuple) or len(parts) != 3:
        return None
    degrees, minutes, seconds = map(_number, parts)
    if degrees is None or minutes is None or seconds is None:
        return None
    size = degrees + minutes / 60 + seconds / 3600
    return -size if str(reference).strip("\0 ").upper() == negative else size


def _number(value: Any) -> float | None:
    """A finite float, or None: EXIF rationals may have a denominator of zero."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
