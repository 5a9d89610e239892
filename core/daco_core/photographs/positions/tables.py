"""Positions from CSV, JSON and GeoJSON files next to photographs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.photographs.distances import metres_between
from daco_core.photographs.formats import FORMATS
from daco_core.photographs.frames import FRAME_FILE, find_frames, in_frame
from daco_core.photographs.locations import (
    LOCATIONS_FILE,
    POSITIONS,
    PhotoLocation,
    TableContents,
    add_location,
    check_size,
    known_columns,
    lacking_columns,
    parse_location,
    read_locations,
    read_table,
)

SUFFIXES = (".csv", ".tsv", ".geojson", ".json")
MOST_RECORD_BYTES = 200_000_000  # larger JSON files are not examined: most next to photographs are something else
KNOWN_SUFFIXES = frozenset(suffix for one in FORMATS for suffix in one.suffixes)
AGREE_METRES = 1.0  # positions in two tables that differ by less are the same
WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")


def locate(folder: Path, images: Sequence[Path], notes: list[str]) -> dict[Path, PhotoLocation]:
    """The locations of the images that a table lists.

    Tables are the `.csv`, `.tsv`, `.json` and `.geojson` files in `folder`, in the folders between it and an image,
    and those next to `folder` that have its name (`walk/` and `walk.csv`). They name files relative to their own
    folder. A file without file names and positions is skipped, except `locations.csv`. A name may lack the suffix or
    differ in capitals, as long as it can mean only one photograph.

    Args:
        notes: receives a sentence for each table whose columns or rows do not fit.

    Raises:
        DacoError: a table is invalid, or two tables give one photograph different positions.
    """
    wanted = {image.absolute(): image for image in images}
    source: dict[Path, Path] = {}
    located: dict[Path, PhotoLocation] = {}
    for table in _tables(folder.absolute(), list(wanted)):
        contents = _read(table)
        if contents is None:
            continue
        if contents.unplaced:
            count, every = len(contents.unplaced), len(contents.unplaced) + len(contents.locations)
            lack = f"{count} of its {every} rows {'has' if count == 1 else 'have'} no position"
            notes.append(f"{table}: {lack}; the first is {contents.unplaced[0]!r}.")
        if contents.lacking:
            notes.append(f"{table} gives no positions: {contents.lacking}.")
        # a table next to the folder may name files relative to its own place, or relative to the folder
        bases = [table.parent] if table.parent != folder.absolute().parent else [folder.absolute(), table.parent]
        frames = find_frames(_frame_folders(table, folder.absolute()))
        names = _Names(wanted, bases)
        strangers: list[str] = []
        for name, bare in contents.locations.items():
            image = names.find(name)
            if image is None:
                strangers.append(name)
                continue
            location = in_frame(bare, frames)
            if image in located and metres_between(located[image], location) > AGREE_METRES:
                raise UsageError(
                    f"{source[image]} and {table} give {image.name} different positions: remove one of them."
                )
            if image not in located:
                located[image], source[image] = location, table
        if strangers:
            count = len(contents.locations)
            known = count - len(strangers)
            some = f"only {known} of its {count} rows name" if known else "no row names"
            notes.append(f"{table}: {some} a photograph in this folder; the first other name is {strangers[0]!r}.")
    return located


class _Names:
    """Finds photographs by the names in a table: exact names first, then ignoring capitals and the suffix.

    Args:
        wanted: absolute path to image.
        bases: the folders that names may be relative to.
    """

    def __init__(self, wanted: Mapping[Path, Path], bases: Sequence[Path]) -> None:
        self._wanted, self._bases = wanted, bases
        self._alike: dict[str, Path | None] | None = None

    def find(self, name: str) -> Path | None:
        plain = name.replace("\\", "/")
        for base in self._bases:
            if (image := self._wanted.get(base / plain)) is not None:
                return image
        if self._alike is None:
            self._alike = self._by_likeness()
        key = plain.removeprefix("./").lower()
        return self._alike.get(key) or self._alike.get(_without_suffix(key))

    def _by_likeness(self) -> dict[str, Path | None]:
        """Lower-case path below each base, with and without suffix, to image; None if two images match."""
        alike: dict[str, Path | None] = {}
        for absolute, image in self._wanted.items():
            keys: set[str] = set()
            for base in self._bases:
                if base in absolute.parents:
                    key = absolute.relative_to(base).as_posix().lower()
                    keys |= {key, _without_suffix(key)}
            for key in keys:
                alike[key] = None if key in alike else image
        return alike


def _without_suffix(name: str) -> str:
    """A name without an image suffix; `hall.2` is unchanged."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix in KNOWN_SUFFIXES else name


def _tables(folder: Path, images: Sequence[Path]) -> list[Path]:
    """The tables, sorted so that those closest to the images come first."""
    folders = {folder}
    for image in images:
        folders.update(parent for parent in image.parents if folder in parent.parents)
    inside = [
        path
        for parent in sorted(folders, key=lambda path: (-len(path.parts), path))
        for path in sorted(parent.iterdir())
        if path.suffix.lower() in SUFFIXES
        and path.name != FRAME_FILE
        and not path.name.startswith(".")
        and path.is_file()
    ]
    beside = [folder.with_name(folder.name + suffix) for suffix in SUFFIXES]
    return inside + [path for path in beside if path.is_file()]


def _frame_folders(table: Path, folder: Path) -> list[Path]:
    """Where a table's `frame.json` may be: in its folder or a parent folder, up to that of the photographs."""
    if table.parent == folder.parent:
        return [folder, table.parent]
    return [parent for parent in (table.parent, *table.parent.parents) if parent == folder or folder in parent.parents]


def _read(table: Path) -> TableContents | None:
    suffix = table.suffix.lower()
    if suffix in (".csv", ".tsv"):
        contents = read_table(table)
        if table.name == LOCATIONS_FILE and (contents is None or contents.lacking):
            read_locations(table.parent)  # raises: this file is ours, so it is not passed over
        return contents
    return read_geojson(table) if suffix == ".geojson" else read_records(table)


def read_records(file: Path) -> TableContents | None:
    """Reads a JSON file about photographs: GeoJSON, or a list of objects; None for any other file.

    The objects have the columns of `locations.csv`; see `read_table`. An object with one list is read as that list.

    Raises:
        DacoError: an object names a file, but its position is invalid.
    """
    try:
        if file.stat().st_size > MOST_RECORD_BYTES:
            return None
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        return read_geojson(file)
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list) or not content or not all(isinstance(row, dict) for row in content):
        return None
    names = list(dict.fromkeys(str(name) for row in content for name in row))
    columns = known_columns(names)
    if not any(set(pair) & columns.keys() for pair in POSITIONS):
        return None  # JSON files beside photographs are mostly about something else
    if lacking := lacking_columns(columns, names):
        return TableContents({}, lacking)
    locations: dict[str, PhotoLocation] = {}
    unplaced: list[str] = []
    for number, row in enumerate(content, start=1):
        columns = known_columns(map(str, row))
        values = {name: row[column] for name, column in columns.items()}
        if not isinstance(name := values.get("file"), str):
            continue
        where = f"{file}, object {number}"
        location = parse_location(values, where)
        if location is None:
            unplaced.append(name)
        else:
            add_location(locations, name, location, where)
    return TableContents(locations, unplaced=unplaced) if locations else None


def read_geojson(file: Path) -> TableContents:
    """Reads the points in a GeoJSON feature collection (RFC 7946).

    The properties of a point contain the file's name, and its heading and place if known, under the names of
    `locations.csv`. Features without a file name are skipped.

    Raises:
        DacoError: it is not GeoJSON in WGS 84, or a feature with a file name is not a point on the earth.
    """
    try:
        check_size(file)
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        features = content["features"]
        system = str(((content.get("crs") or {}).get("properties") or {}).get("name", WGS84[0]))
        named = [(feature, feature.get("properties") or {}) for feature in features]
    except (OSError, ValueError) as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}") from error
    except RecursionError as error:
        raise DacoError(f"{file} cannot be read: its values are nested too deeply.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DacoError(f"{file} is not a GeoJSON feature collection.") from error
    if not system.endswith(WGS84):
        raise DacoError(f"{file} uses {system}: save it in WGS 84 (EPSG:4326), as GeoJSON requires.")
    locations: dict[str, PhotoLocation] = {}
    for number, (feature, properties) in enumerate(named, start=1):
        where = f"{file}, feature {number}"
        if not isinstance(properties, dict):
            raise DacoError(f"{where}: its properties are not an object.")
        columns = known_columns(properties)
        if "file" not in columns:
            continue
        geometry = feature.get("geometry") or {}
        try:
            longitude, latitude, *further = geometry["coordinates"]
        except (KeyError, TypeError, ValueError) as error:
            raise DacoError(f"{where}: it is not a point with a longitude and a latitude.") from error
        values = {name: properties[column] for name, column in columns.items()}
        if further and "altitude" not in columns:
            values["altitude"] = further[0]
        location = parse_location(values | {"latitude": latitude, "longitude": longitude}, where)
        if location is not None:
            add_location(locations, str(values["file"]), location, where)
    if named and not locations:
        return TableContents({}, "none of its features names a photograph in a property such as file or image")
    return TableContents(locations)
