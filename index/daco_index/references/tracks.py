"""Places references along a GPX track that was recorded while they were taken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.photographs.tracks import place_photographs, read_gpx
from daco_index.references.find import Reference


@dataclass(frozen=True)
class TrackOptions:
    """The track for photographs.

    Args:
        path: a GPX file; None for none.
        offset: seconds to add to the camera's clock.
        camera_yaw: degrees from the direction of travel to the camera's, clockwise.
    """

    path: str | None = None
    offset: float = 0.0
    camera_yaw: float = 0.0


def place_along_track(references: Sequence[Reference], options: TrackOptions) -> tuple[list[Reference], list[str]]:
    """Places the references that were taken on the track; also returns sentences about the others.

    A photograph keeps the heading of its compass; one that is not on the track keeps its position.

    Raises:
        UsageError: a photograph is not on this machine, or none was taken on the track.
        DacoError: see `read_gpx`.
    """
    if options.path is None:
        return list(references), []
    images = [reference.path for reference in references if isinstance(reference.path, Path)]
    if len(images) < len(references):
        raise UsageError("--track needs the EXIF times of photographs, which are not read in an object store.")
    placed = place_photographs(images, read_gpx(Path(options.path)), options.offset, options.camera_yaw)
    if not placed.locations:
        raise UsageError(f"{options.path}: {placed}")
    found = []
    for reference in references:
        location = placed.locations.get(Path(reference.path))
        if location is not None:
            heading = location.heading if reference.heading is None else reference.heading
            location = replace(location, heading=heading, place=reference.place)
        found.append(reference if location is None else reference.at(location))
    is_whole = len(placed.locations) == len(images)
    return found, [] if is_whole else [f"{options.path}: {placed}"]
