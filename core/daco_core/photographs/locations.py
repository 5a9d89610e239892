"""Where photographs were taken: `locations.csv` beside the images, and distances on the earth."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, UsageError
from daco_core.files import replace_file
from daco_core.foreign_text import csv_cell, from_csv_cell, is_unicode

LOCATIONS_FILE = "locations.csv"
MOST_HEADER_BYTES = 65536
MOST_TABLE_BYTES = 1_000_000_000  # of ten million photographs
MOST_PLACE_LETTERS = 1000
FURTHER = (
    "altitude",
    "x",
    "y",
    "z",
    "floor",
    "frame",
)  # columns that are written only where there is something in them
NUMBERS = ("latitude", "longitude", "heading", "altitude", "x", "y", "z")
NEEDED = ("file", "latitude", "longitude")

# the columns of `locations.csv`, and the names that other programs' tables give them, in lower case
COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "path", "sourcefile", "name"),
    "place": ("place", "label"),
    "latitude": ("latitude", "lat", "gpslatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "gpslongitude"),
    "heading": ("heading", "bearing", "azimuth", "compass_angle", "gpsimgdirection"),
    "altitude": ("altitude", "alt", "elevation", "ele", "gpsaltitude"),
    "x": ("x", "easting", "east"),
    "y": ("y", "northing", "north"),
    "z": ("z", "up"),
    "floor": ("floor", "level", "storey"),
    "frame": ("frame", "frame_id"),
}
BOX = ("width", "height", "w", "h")  # x and y beside these are pixels of a picture
EARTH_RADIUS_METRES = 6_371_008.8  # mean radius, IUGG
PLACE_METRES = 25.0  # as far apart as two photographs still show one place, in the benchmarks of the field


Degrees = float | NDArray[np.float64]


@dataclass(frozen=True)
class PhotoLocation:
    """Where and which way a photograph was taken: on the earth, in a local frame, or in both.

    Args:
        latitude, longitude: degrees, WGS 84; None where only the local position is known.
        heading: degrees clockwise from north, or from the y axis of a local frame that nothing ties to the earth; None
            where it is not known.
        place: the place's name, or None where it has none.
        altitude: metres, in the datum of whatever measured it; None where it is not known.
        x, y, z: metres in a local frame, z upwards; None where there is none, z also where it is not known.
        floor: the name of a storey; None where it is not known.
        frame: the name of the local frame; None where there is none.
    """

    latitude: float | None
    longitude: float | None
    heading: float | None = None
    place: str | None = None
    altitude: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    floor: str | None = None
    frame: str | None = None


# the fields of a location that say where it is, not what is there; references and catalogues have them, too
POSITION_FIELDS = ("latitude", "longitude", "heading", "altitude", "x", "y", "z", "floor", "frame")


def read_locations(folder: Path) -> dict[str, PhotoLocation]:
    """File name to location, from `locations.csv` in a folder of images; empty where there is none.

    Raises:
        DacoError: the file cannot be read, lacks a column, or a row is not numbers on the earth.
    """
    file = folder / LOCATIONS_FILE
    if not file.is_file():
        return {}
    locations = read_table(file)
    if locations is None:
        raise UsageError(f"{file} lacks a column: its first line must name {', '.join(NEEDED)}.")
    return locations


def read_table(file: Path) -> dict[str, PhotoLocation] | None:
    """File name to location, from a CSV with a header; None where the header names no files and positions.

    The columns are those of `locations.csv` or the usual other names for them (`COLUMNS`), divided by comma, semicolon
    or tab.
    A row without a position is left out.

    Raises:
        DacoError: the file cannot be read, or a row is not numbers on the earth.
    """
    try:
        check_size(file)
        with file.open("rb") as raw:
            # a table of another kind is passed over without an error, whatever its encoding
            header = raw.readline(MOST_HEADER_BYTES).decode("utf-8-sig", errors="replace")
        delimiter = max(",;\t", key=header.count)
        columns = known_columns(next(csv.reader([header], delimiter=delimiter), []))
        if "file" not in columns or not ({"latitude", "longitude"} <= columns.keys() or {"x", "y"} <= columns.keys()):
            return None
        locations = {}
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, delimiter=delimiter)
            for number, row in enumerate(rows, start=2):
                values = {name: row[column] for name, column in columns.items()}
                location = parse_location(values, f"{file}, line {number}")
                if location is not None:
                    locations[from_csv_cell(values["file"] or "")] = location
            return locations
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DacoError(f"{file} cannot be read: {error}") from error


def known_columns(names: Iterable[str]) -> dict[str, str]:
    """Which of the names in a table stand for those of `COLUMNS`: the name there to the table's."""
    given = {name.strip().lower().replace(" ", "_"): name for name in names if name}
    if any(word in given for word in BOX):
        given = {word: name for word, name in given.items() if word not in ("x", "y", "z")}
    return {
        column: next(given[word] for word in words if word in given)
        for column, words in COLUMNS.items()
        if any(word in given for word in words)
    }


def parse_location(values: Mapping[str, object], where: str) -> PhotoLocation | None:
    """The location that values under the names of `COLUMNS` hold; None where they hold no position.

    Raises:
        DacoError: they are not numbers, or not a place on the earth; `where` begins the sentence.
    """
    numbers = {name: _parse_number(name, values.get(name), where) for name in NUMBERS}
    for one, other in (("latitude", "longitude"), ("x", "y")):
        if (numbers[one] is None) != (numbers[other] is None):
            given, lacking = (other, one) if numbers[one] is None else (one, other)
            raise UsageError(f"{where}: it has a {given} and no {lacking}.")
    latitude, longitude, heading = numbers.pop("latitude"), numbers.pop("longitude"), numbers.pop("heading")
    if latitude is None and numbers["x"] is None:
        return None
    if latitude is not None and longitude is not None and not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise DacoError(f"{where}: latitude {latitude}, longitude {longitude} is not a place on the earth.")
    place, floor, frame = (_parse_name(name, values.get(name), where) for name in ("place", "floor", "frame"))
    direction = None if heading is None else heading % 360
    return PhotoLocation(latitude, longitude, direction, place, floor=floor, frame=frame, **numbers)


def _parse_number(name: str, value: object, where: str) -> float | None:
    """A finite number; None where it is empty. Raises UsageError."""
    if value is None or str(value).strip() == "":
        return None
    try:
        number = float(str(value))
    except ValueError as error:
        raise UsageError(f"{where}: {name} {str(value)!r} is not a number.") from error
    if not math.isfinite(number):
        raise UsageError(f"{where}: {name} {value} is not a finite number.")
    return number


def _parse_name(name: str, value: object, where: str) -> str | None:
    """The name of a place, a floor or a frame; None where it is empty. Raises UsageError."""
    if value is not None and not isinstance(value, str | int | float):
        raise UsageError(f"{where}: its {name} is not a name.")
    text = "" if value is None else from_csv_cell(str(value))
    if not is_unicode(text):
        raise UsageError(f"{where}: the name of its {name} has half of a character (a lone surrogate).")
    if len(text) > MOST_PLACE_LETTERS:
        raise UsageError(f"{where}: the name of its {name} has more than {MOST_PLACE_LETTERS} letters.")
    return text or None


def check_size(file: Path) -> None:
    """Checks that a table is small enough to be read into memory. Raises UsageError, OSError."""
    if (size := file.stat().st_size) > MOST_TABLE_BYTES:
        raise UsageError(
            f"{file} has {size / 1e6:.0f} MB, and tables of positions may have {MOST_TABLE_BYTES / 1e6:.0f}: divide it."
        )


def write_locations(folder: Path, locations: dict[str, PhotoLocation]) -> None:
    """Writes `locations.csv` into a folder of images, sorted by file name: degrees with 7 decimals (a centimetre).

    Columns of altitudes and local positions are there if one of the locations has them.

    Raises:
        OSError: it cannot be written.
    """
    further = [name for name in FURTHER if any(getattr(place, name) is not None for place in locations.values())]
    with replace_file(folder / LOCATIONS_FILE) as fresh, fresh.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "place", "latitude", "longitude", "heading", *further])
        for name, location in sorted(locations.items()):
            cells = [location.latitude, location.longitude, location.heading]
            position = [
                "" if cell is None else f"{cell:.{digits}f}" for cell, digits in zip(cells, (7, 7, 2), strict=True)
            ]
            others = [_cell(getattr(location, column)) for column in further]
            writer.writerow([csv_cell(name), csv_cell(location.place or ""), *position, *others])


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return csv_cell(value) if isinstance(value, str) else f"{value:.3f}"


def distance_metres(latitude: Degrees, longitude: Degrees, other_latitude: Degrees, other_longitude: Degrees) -> Any:
    """Great-circle distance in metres between points in degrees, by the haversine formula; arrays are broadcast."""
    phi, other_phi = np.radians(latitude), np.radians(other_latitude)
    half_phi = (other_phi - phi) / 2
    half_lambda = (np.radians(other_longitude) - np.radians(longitude)) / 2
    chord = np.sin(half_phi) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_METRES * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
