"""Places references by a reconstruction that another program made from them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.photographs.frames import FRAME_FILE, find_frames, in_frame
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.reconstructions import (
    CameraNames,
    Up,
    find_reconstruction,
    place_cameras,
    read_reconstruction,
)
from daco_core.photographs.reconstructions.alignment import align
from daco_index.references.find import Reference


@dataclass(frozen=True)
class ReconstructionOptions:
    """The reconstruction with the cameras of the photographs.

    Args:
        path: of the reconstruction; None for one that lies with the photographs, for those without a position.
        up: the axis that is upwards in it; `auto` for what most cameras say.
        scale: metres in a unit of it; None to estimate it by the photographs whose positions are known.
    """

    path: str | None = None
    up: Up = "auto"
    scale: float | None = None


def place_references(
    references: Sequence[Reference], folder: Path | None, options: ReconstructionOptions, progress: bool
) -> tuple[list[Reference], list[str]]:
    """The references, with local positions for those in the reconstruction, and notes about its unit.

    If enough of them have positions in degrees, the frame is aligned with the earth. Otherwise they keep these
    positions, with the heading that belongs to them.

    Args:
        folder: of the photographs; None if they are in no folder of this machine.
        progress: print on stderr how many photographs were placed.

    Raises:
        UsageError: the named reconstruction contains none of the photographs.
        DacoError: see `read_reconstruction` and `place_cameras`.
    """
    named = options.path is not None
    if not named and (folder is None or all(_is_placed(reference) for reference in references)):
        return list(references), []
    path = Path(options.path) if options.path is not None else None if folder is None else find_reconstruction(folder)
    if path is None:
        return list(references), []
    cameras = place_cameras(read_reconstruction(path), options.up, options.scale or 1.0)
    holders = [path.parent if path.is_file() else path, *([] if folder is None else [folder])]
    frames = find_frames(holders)
    frame = None if any((holder / FRAME_FILE).is_file() for holder in holders) else _frame_name(path)
    names = CameraNames(cameras.locations)
    said = ""
    if options.scale is None:
        aligned = align(_known_twice(references, names))
        if aligned is not None:
            cameras = cameras.scaled(aligned.scale)
            names = CameraNames(cameras.locations)
            said = (
                f" By the known positions of {aligned.agreeing} of {aligned.known} photographs, one unit is"
                f" {aligned.scale:.4g} m, with a median deviation of {aligned.deviation:.2g} m."
            )
            if not any(frames.values()):  # an anchor that was given takes precedence
                frame = frame or next(iter(frames))
                frames = {frame: aligned.anchor}
    placed, count = [], 0
    for reference in references:
        bare = names.of(Path(reference.path)) if named or not _is_placed(reference) else None
        if bare is not None:
            count += 1
            reference = _placed(reference, in_frame(replace(bare, frame=frame), frames))
        placed.append(reference)
    if named and not count:
        raise UsageError(
            f"{path} contains none of the photographs: it names {next(iter(cameras.locations))}, and the first"
            f" photograph is {references[0].path}."
        )
    if progress:
        of_all = f"{count} of {len(references)} photographs"
        print(f"{of_all} are placed by {path}, in which {cameras.up} is upwards.{said}", file=sys.stderr)
    is_assumed = options.scale is None and not said and count
    return placed, [_assumption(path)] if is_assumed else []


def _known_twice(references: Sequence[Reference], names: CameraNames) -> list[tuple[PhotoLocation, PhotoLocation]]:
    """The locations in the reconstruction and on the earth, of photographs that have both."""
    known = []
    for reference in references:
        if reference.latitude is not None and (local := names.of(Path(reference.path))) is not None:
            known.append((local, PhotoLocation(reference.latitude, reference.longitude, altitude=reference.altitude)))
    return known


def _assumption(path: Path) -> str:
    return (
        f"{path}: one unit is assumed to be one metre, because too few photographs have positions on the earth to show"
        " the scale. If this is wrong, give --scale with the metres of a unit; if it is right, --scale 1."
    )


def _is_placed(reference: Reference) -> bool:
    return reference.latitude is not None or reference.x is not None


def _placed(reference: Reference, location: PhotoLocation) -> Reference:
    local = replace(reference, x=location.x, y=location.y, z=location.z, frame=location.frame)
    if location.latitude is None and reference.latitude is not None:
        return local  # the heading is clockwise from north, not from the y axis of the frame
    return replace(
        local,
        latitude=location.latitude,
        longitude=location.longitude,
        altitude=location.altitude,
        heading=location.heading,
    )


def _frame_name(path: Path) -> str:
    """The name for an unnamed frame: that of the folder above the reconstruction's own (`hall/sparse/0`)."""
    folder = path.parent if path.is_file() else path
    parts = [part for part in folder.resolve().parts[1:] if not part.isdecimal() and part != "sparse"]
    return parts[-1] if parts else path.stem
