"""The one place where positions of photographs are read, whatever form they come in."""

import sys
from collections.abc import Sequence
from pathlib import Path

from daco_core.foreign_text import printable
from daco_core.photographs.images import list_images_below
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions import exif, names, tables
from daco_core.photographs.positions.doubts import doubt


def read_positions(folder: Path) -> dict[str, PhotoLocation]:
    """Path below the folder (`a.jpg`, `north/b.jpg`) to location, of every photograph whose position is known.

    Raises:
        DacoError: the folder cannot be listed, or as `locate`.
    """
    located = locate(folder, list_images_below(folder))
    return {image.relative_to(folder).as_posix(): location for image, location in located.items()}


def locate(folder: Path, images: Sequence[Path], notes: list[str] | None = None) -> dict[Path, PhotoLocation]:
    """The images whose position is known, with their locations.

    For each photograph the first of these that knows it: a table (CSV, JSON or GeoJSON) in its folder, in a folder
    above it up to `folder`, or beside `folder` under its name; its own `@utm_east@utm_north@...@.jpg` name; its EXIF.

    Args:
        folder: holds all the images, at any depth.
        notes: gets a sentence for each table that does not fit, and for positions that are doubtful; where it is None,
            they are printed on stderr.

    Raises:
        DacoError: a table cannot be understood, or two tables contradict each other.
    """
    said: list[str] = [] if notes is None else notes
    located = tables.locate(folder, images, said)
    for image in images:
        if image not in located:
            location = names.read_name(image.name) or exif.read_exif(image)
            if location is not None:
                located[image] = location
    said += doubt(list(located.items()))
    if notes is None:
        for note in said:
            print(f"Note: {printable(note)}", file=sys.stderr)
    return located
