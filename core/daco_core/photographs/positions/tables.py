"""Positions from the CSV and GeoJSON files that lie with photographs."""

import json
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.distances import metres_between
from daco_core.photographs.frames import find_frames, in_frame
from daco_core.photographs.locations import (
    LOCATIONS_FILE,
    PhotoLocation,
    check_size,
    known_columns,
    parse_location,
    read_locations,
    read_table,
)

AGREE_METRES = 1.0  # two tables that lie closer say the same
WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")


def locate(folder: Path, images: Sequence[Path]) -> dict[Path, PhotoLocation]:
    """The images that a table lists, with their locations.

    Tables are the `.csv` and `.geojson` files in `folder` and in the folders below it that lead to an image, and those
    beside `folder` that bear its name (`walk/` and `walk.csv`). They name files relative to where they lie. A file
    that holds no file names with positions is passed over, except `locations.csv`.

    Raises:
        DacoError: a table is broken, or two give one photograph different positions.
    """
    wanted = {image.absolute(): image for image in images}
    source: dict[Path, Path] = {}
    located: dict[Path, PhotoLocation] = {}
    for table in _tables(folder.absolute(), list(wanted)):
        # what lies beside the folder may name files as seen from there, or from within the folder
        bases = [table.parent] if table.parent != folder.absolute().parent else [folder.absolute(), table.parent]
        frames = find_frames(_frame_folders(table, folder.absolute()))
        for name, bare in _read(table).items():
            location = in_frame(bare, frames)
            found = [base / name.replace("\\", "/") for base in bases if base / name.replace("\\", "/") in wanted]
            if not found:
                continue
            image = wanted[found[0]]
            if image in located and _metres_apart(located[image], location) > AGREE_METRES:
                raise UsageError(
                    f"{source[image]} and {table} give {image.name} different positions: remove one of them."
                )
            if image not in located:
                located[image], source[image] = location, table
    return located


def _tables(folder: Path, images: Sequence[Path]) -> list[Path]:
    """The tables, those closest to the images first."""
    folders = {folder}
    for image in images:
        folders.update(parent for parent in image.parents if folder in parent.parents)
    inside = [
        path
        for parent in sorted(folders, key=lambda path: (-len(path.parts), path))
        for path in sorted(parent.iterdir())
        if path.suffix.lower() in (".csv", ".geojson") and not path.name.startswith(".") and path.is_file()
    ]
    beside = [folder.with_name(folder.name + suffix) for suffix in (".csv", ".geojson")]
    return inside + [path for path in beside if path.is_file()]


def _frame_folders(table: Path, folder: Path) -> list[Path]:
    """Where the frame of a table may be described: its folder and those above it, up to the photographs' own."""
    if table.parent == folder.parent:
        return [folder, table.parent]
    return [parent for parent in (table.parent, *table.parent.parents) if parent == folder or folder in parent.parents]


def _read(table: Path) -> dict[str, PhotoLocation]:
    if table.name == LOCATIONS_FILE:
        return read_locations(table.parent)
    return (read_table(table) if table.suffix.lower() == ".csv" else read_geojson(table)) or {}


def read_geojson(file: Path) -> dict[str, PhotoLocation]:
    """File name to location, from the points of a GeoJSON feature collection (RFC 7946).

    A point's properties hold the file's name, and its heading and place if they are known, under the names of
    `locations.csv`. Features that name no file are passed over.

    Raises:
        DacoError: it is not GeoJSON in WGS 84, or a feature with a file is not a point on the earth.
    """
    try:
        check_size(file)
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        features = content["features"]
        system = str(((content.get("crs") or {}).get("properties") or {}).get("name", WGS84[0]))
        named = [(feature, feature.get("properties") or {}) for feature in features]
    except (OSError, ValueError) as error:
        raise DacoError(f"{file} cannot be read: {error}") from error
    except RecursionError as error:
        raise DacoError(f"{file} cannot be read: its values are nested too deep.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DacoError(f"{file} is not a GeoJSON feature collection.") from error
    if not system.endswith(WGS84):
        raise DacoError(f"{file} is in {system}: save it in WGS 84 (EPSG:4326), as GeoJSON should be.")
    locations = {}
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
            locations[str(values["file"])] = location
    return locations


def _metres_apart(one: PhotoLocation, other: PhotoLocation) -> float:
    return metres_between(one, other)
