"""When a photograph was taken, from its EXIF."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from daco_core.photographs.images import open_image

UNREADABLE = (OSError, ValueError, SyntaxError, TypeError, KeyError, RuntimeError, struct.error)


def read_capture_time(image: Path) -> float | None:
    """Seconds since 1970, UTC; None if the photograph has no time, or is not an image.

    Uses DateTimeOriginal with its time zone (OffsetTimeOriginal); else the GPS time, which is UTC; else
    DateTimeOriginal as if it were UTC, which an offset has to correct.
    """
    try:
        with open_image(image) as opened:
            exif = opened.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except (*UNREADABLE, Image.DecompressionBombError):
        return None
    taken = _clock(details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime))
    if taken is not None:
        taken += timedelta(seconds=_fraction(details.get(ExifTags.Base.SubsecTimeOriginal)))
        zone = _zone(details.get(ExifTags.Base.OffsetTimeOriginal) or details.get(ExifTags.Base.OffsetTime))
        if zone is not None:
            return (taken - zone).replace(tzinfo=UTC).timestamp()
    received = _received(gps)
    if received is not None:
        return received
    return None if taken is None else taken.replace(tzinfo=UTC).timestamp()


def _clock(text: Any) -> datetime | None:
    """A time as EXIF writes it, `2026:05:01 10:00:00`."""
    try:
        return datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _fraction(digits: Any) -> float:
    text = str(digits or "").strip("\0 ")
    return float(f"0.{text}") if text.isdigit() else 0.0


def _zone(text: Any) -> timedelta | None:
    """A time zone as EXIF writes it, `+02:00`."""
    try:
        return datetime.strptime(str(text or "").strip("\0 ").replace("Z", "+00:00"), "%z").utcoffset()
    except ValueError:
        return None


def _received(gps: Any) -> float | None:
    try:
        day = datetime.strptime(str(gps[ExifTags.GPS.GPSDateStamp]).strip("\0 "), "%Y:%m:%d")
        hours, minutes, seconds = (float(part) for part in gps[ExifTags.GPS.GPSTimeStamp])
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return None
    return (day + timedelta(hours=hours, minutes=minutes, seconds=seconds)).replace(tzinfo=UTC).timestamp()
