"""Positions, the WGS 84 ellipsoid, and coordinates that are written as decimals or in degrees, minutes, seconds."""

import math
import re
from dataclasses import dataclass, fields

# of the WGS 84 ellipsoid
EQUATOR_RADIUS_METRES = 6_378_137.0
FLATTENING = 1 / 298.257223563

NUMBER = r"\d+(?:[.,]\d+)?"
# 55° 41' 53.4" N; N 55 41.89; 55 deg 41' 53.40" N (ExifTool); 55:41:53.4; signed too
SEXAGESIMAL = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<sign>[+-])?\s*(?P<degrees>{NUMBER})\s*(?:°|º|deg|d|:|\s|$)\s*"
    rf"(?:(?P<minutes>{NUMBER})\s*(?:'|\u2032|\u2019|min|m|:|\s|$)\s*)?"
    rf"(?:(?P<seconds>{NUMBER})\s*(?:\"|\u2033|\u201d|''|sec|s)?\s*)?"
    rf"(?P<after>[NSEW])?",
    re.IGNORECASE,
)
# 41 m Above Sea Level (ExifTool); 41.5 m; -3 metres
ALTITUDE = re.compile(
    rf"(?P<sign>[+-])?\s*(?P<size>{NUMBER})\s*(?:m|metres?|meters?)\.?\s*(?P<side>above|below)?(?:\s+sea\s+level)?",
    re.IGNORECASE,
)
HEMISPHERES = {"latitude": "NS", "longitude": "EW"}


@dataclass(frozen=True, kw_only=True)
class Position:
    """A position on the earth, in a local frame, or both, and a heading: the fields that all positions share.

    Args:
        latitude, longitude: degrees, WGS 84; None if only the local position is known.
        heading: degrees clockwise from north, or from the y axis of a local frame without an anchor; None if unknown.
        altitude: metres, in the datum of its source; None if unknown.
        x, y, z: metres in a local frame, z upwards; None if there is none. z is also None if it is unknown.
        floor: the name of a floor; None if unknown.
        frame: the name of the local frame; None if there is none.
    """

    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    altitude: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    floor: str | None = None
    frame: str | None = None


# the entries of a catalogue have these fields, too
POSITION_FIELDS = tuple(field.name for field in fields(Position))


def geojson_point(
    latitude: float | None, longitude: float | None, altitude: float | None = None
) -> dict[str, object] | None:
    """A point of GeoJSON (RFC 7946), with the altitude if it is known; None if the place on the earth is unknown."""
    if latitude is None or longitude is None:
        return None
    return {"type": "Point", "coordinates": [longitude, latitude, *([] if altitude is None else [altitude])]}


def parse_coordinate(text: str, name: str = "") -> float:
    """Parses a non-empty text as a finite number.

    Args:
        name: `latitude` or `longitude`: then degrees, minutes and seconds with a hemisphere's letter are allowed; or
            `altitude`: then metres may be named, and whether they are above or below the sea.

    Raises:
        ValueError: it is not a number; the message explains why.
    """
    word = text.strip().replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    try:
        number = float(_with_point(word))
    except ValueError:
        number = _parse_altitude(word, text) if name == "altitude" else _parse_sexagesimal(word, text, name)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number


def _with_point(word: str) -> str:
    """Converts a number with a decimal comma, or with thousands separators, to Python's notation."""
    if "," not in word:
        return word
    if "." not in word:
        return word.replace(",", ".") if word.count(",") == 1 else word.replace(",", "")
    # the last of the two separates the decimals
    thousands, decimal = (".", ",") if word.rindex(",") > word.rindex(".") else (",", ".")
    return word.replace(thousands, "").replace(decimal, ".")


def _parse_altitude(word: str, text: str) -> float:
    found = ALTITUDE.fullmatch(word)
    if found is None:
        raise ValueError(f"{text!r} is not a number")
    is_below = (found["side"] or "").lower() == "below" or found["sign"] == "-"
    return -_part(found["size"]) if is_below else _part(found["size"])


def _parse_sexagesimal(word: str, text: str, name: str) -> float:
    letters = HEMISPHERES.get(name)
    found = SEXAGESIMAL.fullmatch(word) if letters else None
    if found is None or letters is None:
        raise ValueError(f"{text!r} is not a number")
    degrees, minutes, seconds = (_part(found[part]) for part in ("degrees", "minutes", "seconds"))
    letter = (found["before"] or found["after"] or "").upper()
    if letter and letter not in letters:
        raise ValueError(f"{text!r} ends in {letter}, so it is not a {name}: are latitude and longitude swapped?")
    if minutes >= 60 or seconds >= 60 or (found["before"] and found["after"]):
        raise ValueError(f"{text!r} is not a number of degrees, minutes and seconds")
    size = degrees + minutes / 60 + seconds / 3600
    return -size if letter in ("S", "W") or found["sign"] == "-" else size


def _part(text: str | None) -> float:
    return float(text.replace(",", ".")) if text else 0.0
