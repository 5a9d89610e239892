"""Where photographs were taken: `locations.csv` next to the images, and distances on the earth."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.files import replace_file
from daco_core.photographs.coordinates import Position, parse_coordinate
from daco_core.untrusted_text import csv_cell, from_csv_cell, is_unicode

LOCATIONS_FILE = "locations.csv"
MOST_HEADER_BYTES = 65536
MOST_TABLE_BYTES = 1_000_000_000  # enough for ten million photographs
MOST_PLACE_LETTERS = 1000
FURTHER = (
    "altitude",
    "x",
    "y",
    "z",
    "floor",
    "frame",
)  # columns that are written only if one of the locations has a value
UNIT = re.compile(r"\s*[\[(].*?[\])]")
NUMBERS = ("latitude", "longitude", "heading", "altitude", "x", "y", "z")
NEEDED = ("file", "latitude", "longitude")

# the columns of `locations.csv`, and the names that other programs give them, in lower case with letters and digits
# only, so that `Image Name` and `image_name` are the same
COLUMNS = {
    "file": (
        *("file", "filename", "image", "imagename", "imagefile", "imagefilename", "imagepath", "photo", "photoname"),
        *("photograph", "picture", "img", "imgname", "sourcefile", "path", "filepath", "name", "basename", "key"),
    ),
    "place": ("place", "label"),
    "latitude": ("latitude", "lat", "gpslatitude", "gpslat"),
    "longitude": ("longitude", "lon", "lng", "long", "gpslongitude", "gpslon", "gpslong", "gpslng"),
    "heading": ("heading", "bearing", "azimuth", "compassangle", "gpsimgdirection"),
    "altitude": ("altitude", "alt", "elevation", "ele", "gpsaltitude", "gpsalt"),
    "x": ("x", "easting", "east"),
    "y": ("y", "northing", "north"),
    "z": ("z", "up"),
    "floor": ("floor", "level", "storey"),
    "frame": ("frame", "frameid"),
}
COMMON_WORDS = ("name", "path", "key")  # names of a file column that tables about anything may have
BOX = ("width", "height", "w", "h")  # if a table has these, its x and y are pixels of a picture
POSITIONS = (("latitude", "longitude"), ("x", "y"))
EARTH_RADIUS_METRES = 6_371_008.8  # mean radius, IUGG
PLACE_METRES = 25.0  # photographs within this distance show the same place, as in the field's benchmarks


Degrees = float | NDArray[np.float64]


@dataclass(frozen=True)
class PhotoLocation(Position):
    """Where a photograph was taken and in which direction.

    Args:
        place: the place's name; None if it has none.
    """

    latitude: float | None
    longitude: float | None
    heading: float | None = None
    place: str | None = None


@dataclass(frozen=True)
class TableContents:
    """What a table contains about photographs.

    Args:
        locations: file name to location, in the order of the table.
        lacking: why a table that seems to be about photographs, or about positions, gives no positions of photographs;
            empty if it does give some, or is about something else.
        unplaced: names in rows without a position.
    """

    locations: dict[str, PhotoLocation]
    lacking: str = ""
    unplaced: Sequence[str] = ()


def read_locations(folder: Path) -> dict[str, PhotoLocation]:
    """File name to location, from `locations.csv` in a folder of images; empty if there is no such file.

    Raises:
        DacoError: the file cannot be read, lacks a column, or a row is not a valid position.
    """
    file = folder / LOCATIONS_FILE
    if not file.is_file():
        return {}
    contents = read_table(file)
    if contents is None or contents.lacking:
        why = f" ({contents.lacking})" if contents else ""
        raise UsageError(f"{file} lacks a column{why}: its first line must name {', '.join(NEEDED)}.")
    return contents.locations


def read_table(file: Path) -> TableContents | None:
    """Reads a table with a header about photographs; None if the header shows that it is about something else.

    The columns are those of `locations.csv` or common other names for them (`COLUMNS`), separated by comma, semicolon
    or tab. The text is UTF-8 or UTF-16. Rows without a position are skipped and counted.

    Raises:
        DacoError: the file cannot be read, a row is not a valid position, or two rows place a file differently.
    """
    try:
        check_size(file)
        encoding = _encoding(file)
        with file.open(newline="", encoding=encoding, errors="replace") as stream:
            # a table about something else is skipped without an error, whatever its encoding
            header, before = stream.readline(MOST_HEADER_BYTES), 0
            delimiter = max(",;\t", key=header.count)
            if header.lower().startswith("sep="):  # Excel's mark for the separator
                delimiter, header, before = header[4:5], stream.readline(MOST_HEADER_BYTES), 1
        names = next(csv.reader([header], delimiter=delimiter), [])
        columns = known_columns(names)
        if (lacking := lacking_columns(columns, names)) != "":
            return None if lacking is None else TableContents({}, lacking)
        locations: dict[str, PhotoLocation] = {}
        unplaced: list[str] = []
        with file.open(newline="", encoding=encoding) as stream:
            for _ in range(before):
                stream.readline()
            rows = csv.DictReader(stream, delimiter=delimiter)
            for number, row in enumerate(rows, start=2 + before):
                where = f"{file}, line {number}"
                more: Any = row.get(None)  # type: ignore[call-overload]
                if more and all(cell.strip().isdigit() for cell in more):
                    raise UsageError(
                        f"{where}: it has {len(more)} more values than the first line has columns. If the columns are"
                        " separated by commas, numbers with decimal commas need quotation marks."
                    )
                values = {name: row[column] for name, column in columns.items()}
                location = parse_location(values, where)
                name = from_csv_cell(values["file"] or "").strip()
                if location is not None:
                    add_location(locations, name, location, where)
                elif name:
                    unplaced.append(name)
            return TableContents(locations, unplaced=unplaced)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}") from error


def add_location(locations: dict[str, PhotoLocation], name: str, location: PhotoLocation, where: str) -> None:
    """Adds a row's location. Raises UsageError if an earlier row gives the file another position."""
    before = locations.setdefault(name, location)
    if any(getattr(before, column) != getattr(location, column) for column in ("latitude", "longitude", "x", "y")):
        raise UsageError(f"{where}: {name!r} has another position in an earlier row: remove one of them.")


def _encoding(file: Path) -> str:
    """UTF-16 if a byte order mark, or the zero bytes of Latin letters, show it; else UTF-8. Raises OSError."""
    with file.open("rb") as stream:
        head = stream.read(4)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(head) == 4 and head[1] == head[3] == 0:
        return "utf-16-le"
    return "utf-16-be" if len(head) == 4 and head[0] == head[2] == 0 else "utf-8-sig"


def lacking_columns(columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    """What a table with these columns lacks; empty if nothing; None if it is about something else."""
    complete = [pair for pair in POSITIONS if set(pair) <= columns.keys()]
    if complete and "file" in columns:
        return ""
    if complete:
        one, other = complete[0]
        return f"it has {one} and {other}, but no column with the names of the photographs, such as file or image"
    for one, other in (*POSITIONS, *((other, one) for one, other in POSITIONS)):
        if one in columns:
            return f"it has {one}, but no {other}"
    if "file" not in columns or _word(columns["file"]) in COMMON_WORDS:
        return None
    words = {_word(name) for name in names}
    if {"x", "y"} <= words and words & set(BOX):
        return (
            "with width and height beside them, x and y are taken for pixels of a picture: call them easting and"
            " northing if they are metres"
        )
    return f"its column {columns['file']!r} names photographs, but it has neither latitude and longitude nor x and y"


def known_columns(names: Iterable[str]) -> dict[str, str]:
    """Maps the names of `COLUMNS` to the table's own names for them."""
    given = {_word(name): name for name in names if name}
    if any(word in given for word in BOX):
        given = {word: name for word, name in given.items() if word not in ("x", "y", "z")}
    return {
        column: next(given[word] for word in words if word in given)
        for column, words in COLUMNS.items()
        if any(word in given for word in words)
    }


def _word(name: str) -> str:
    """The name of a column in the form of `COLUMNS`: without spaces, punctuation and units (`Latitude (deg)`)."""
    return "".join(letter for letter in UNIT.sub("", name).lower() if letter.isalnum())


def parse_location(values: Mapping[str, object], where: str) -> PhotoLocation | None:
    """Parses a location from values under the names of `COLUMNS`; None if they contain no position.

    Raises:
        DacoError: they are not numbers, or not a position on the earth; the message begins with `where`.
    """
    numbers = {name: _parse_number(name, values.get(name), where) for name in NUMBERS}
    for one, other in (("latitude", "longitude"), ("x", "y")):
        if (numbers[one] is None) != (numbers[other] is None):
            given, lacking = (other, one) if numbers[one] is None else (one, other)
            raise UsageError(f"{where}: it has a {given} but no {lacking}.")
    latitude, longitude, heading = numbers.pop("latitude"), numbers.pop("longitude"), numbers.pop("heading")
    if latitude is None and numbers["x"] is None:
        return None
    if latitude is not None and longitude is not None and not (abs(latitude) <= 90 and abs(longitude) <= 180):
        swapped = abs(longitude) <= 90 and abs(latitude) <= 180
        doubt = "; are the two swapped?" if swapped else "."
        raise DacoError(f"{where}: latitude {latitude}, longitude {longitude} is not a place on the earth{doubt}")
    place, floor, frame = (_parse_name(name, values.get(name), where) for name in ("place", "floor", "frame"))
    direction = None if heading is None else heading % 360
    return PhotoLocation(latitude, longitude, direction, place, floor=floor, frame=frame, **numbers)


def _parse_number(name: str, value: object, where: str) -> float | None:
    """A finite number; None if it is empty. Raises UsageError."""
    if value is None or str(value).strip() == "":
        return None
    try:
        return parse_coordinate(str(value), name)
    except ValueError as error:
        raise UsageError(f"{where}: {name} {error}.") from error


def _parse_name(name: str, value: object, where: str) -> str | None:
    """The name of a place, a floor or a frame; None if it is empty. Raises UsageError."""
    if value is not None and not isinstance(value, str | int | float):
        raise UsageError(f"{where}: its {name} is not a name.")
    text = "" if value is None else from_csv_cell(str(value))
    if not is_unicode(text):
        raise UsageError(f"{where}: its {name} contains a lone surrogate, which is half of a character.")
    if len(text) > MOST_PLACE_LETTERS:
        raise UsageError(f"{where}: its {name} has more than {MOST_PLACE_LETTERS} characters.")
    return text or None


def check_size(file: Path) -> None:
    """Checks that a table is small enough to be read into memory. Raises UsageError or OSError."""
    if (size := file.stat().st_size) > MOST_TABLE_BYTES:
        raise UsageError(
            f"{file} has {size / 1e6:.0f} MB; the limit for a table of positions is {MOST_TABLE_BYTES / 1e6:.0f} MB:"
            " split it."
        )


def write_locations(folder: Path, locations: dict[str, PhotoLocation]) -> None:
    """Writes `locations.csv` into a folder of images, sorted by file name. Degrees have 7 decimals (a centimetre).

    Columns for altitudes and local positions are written if at least one location has them.

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
    """Great-circle distance in metres between points in degrees, by the haversine formula. Arrays are broadcast."""
    phi, other_phi = np.radians(latitude), np.radians(other_latitude)
    half_phi = (other_phi - phi) / 2
    half_lambda = (np.radians(other_longitude) - np.radians(longitude)) / 2
    chord = np.sin(half_phi) ** 2 + np.cos(phi) * np.cos(other_phi) * np.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_METRES * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
