"""Positions from file names in the format that many data sets of the field use.

`@UTM_east@UTM_north@UTM_zone_number@UTM_zone_letter@latitude@longitude@pano_id@tile_num@heading@pitch@roll@height@`
`timestamp@note@.jpg`, any field possibly empty; as written by VPR-datasets-downloader (Berton et al., "Deep Visual
Geo-localization Benchmark", CVPR 2022): metres with 2 decimals, degrees with 5.
"""

import math

from daco_core.photographs.locations import PhotoLocation, distance_metres
from daco_core.photographs.positions.unusable import Unusable
from daco_core.photographs.positions.utm import utm_to_degrees

FIELDS = 15  # between the first @ and the suffix; some programs stop after the longitude
AGREE_METRES = 10.0


def read_name(name: str) -> PhotoLocation | None:
    """As `find_name_position`, without the reasons: None if there is no position that can be used."""
    found = find_name_position(name)
    return None if isinstance(found, Unusable) else found


def find_name_position(name: str) -> PhotoLocation | Unusable | None:
    """The location in a file's name; None if the name has another form or contains no position.

    UTM is more precise than the degrees. It is used if both agree within 10 metres, or if there are no degrees.
    Otherwise the degrees are used, because some data sets keep other numbers in the UTM fields.
    """
    if not name.startswith("@"):
        return None
    fields = name.split("@")[1:FIELDS] + [""] * FIELDS
    degrees = _degrees(fields[4], fields[5])
    utm = _utm(*fields[:4])
    position = degrees or utm
    if position is None:
        # without a zone, the fields of UTM often contain other numbers, such as those of frames
        claimed = any(fields[4:6]) or (all(fields[:2]) and any(fields[2:4]))
        return Unusable("name", "its UTM coordinates and degrees are not a place on the earth") if claimed else None
    if degrees and utm and distance_metres(*degrees, *utm) < AGREE_METRES:
        position = utm
    heading = _number(fields[8])
    return PhotoLocation(*position, None if heading is None else heading % 360)


def _degrees(latitude: str, longitude: str) -> tuple[float, float] | None:
    north, east = _number(latitude), _number(longitude)
    if north is None or east is None or abs(north) > 90 or abs(east) > 180:
        return None
    return north, east


def _utm(easting: str, northing: str, zone: str, letter: str) -> tuple[float, float] | None:
    east, north, number = _number(easting), _number(northing), _number(zone)
    if east is None or north is None or number is None or len(letter) != 1:
        return None
    try:
        return utm_to_degrees(east, north, int(number), letter)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
