"""Reads the positions of photographs from all supported sources."""

import sys
from collections.abc import Sequence
from pathlib import Path

from daco_core.photographs.images import list_images_below
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions import exif, names, tables
from daco_core.photographs.positions.plausibility import check_plausibility
from daco_core.photographs.positions.unusable import Unusable, describe_unusable
from daco_core.untrusted_text import printable


def read_positions(folder: Path) -> dict[str, PhotoLocation]:
    """Path below the folder (`a.jpg`, `north/b.jpg`) to location, for every photograph whose position is known.

    Raises:
        DacoError: the folder cannot be listed; or see `locate`.
    """
    located = locate(folder, list_images_below(folder))
    return {image.relative_to(folder).as_posix(): location for image, location in located.items()}


def locate(folder: Path, images: Sequence[Path], notes: list[str] | None = None) -> dict[Path, PhotoLocation]:
    """The locations of those images whose position is known.

    For each photograph, the first of these sources that has its position is used: a table (CSV, JSON or GeoJSON) in its
    folder, in a parent folder up to `folder`, or next to `folder` under its name; its own name in the form
    `@utm_east@utm_north@...@.jpg`; its EXIF.

    Args:
        folder: contains all the images, at any depth.
        notes: receives a sentence for each table that does not fit, and for positions that are doubtful or cannot be
            used; if it is None, they are printed on stderr.

    Raises:
        DacoError: a table is invalid, or two tables contradict each other.
    """
    found_notes: list[str] = [] if notes is None else notes
    located = tables.locate(folder, images, found_notes)
    unusable: list[tuple[Path, Unusable]] = []
    for image in images:
        if image not in located:
            found = [names.find_name_position(image.name)]
            if not isinstance(found[0], PhotoLocation):
                found.append(exif.find_exif_position(image))
            if isinstance(found[-1], PhotoLocation):
                located[image] = found[-1]
            else:
                unusable += [(image, one) for one in found if isinstance(one, Unusable)]
    found_notes += describe_unusable(unusable)
    found_notes += check_plausibility(list(located.items()))
    if notes is None:
        for note in found_notes:
            print(f"Note: {printable(note)}", file=sys.stderr)
    return located
