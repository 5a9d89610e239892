"""Local frames: metres east, north and up of a point of one's own, and the anchor that ties such a frame to the earth.

`frame.json` beside photographs, or beside the table that places them, says what its x, y and z mean:

    {"name": "hall", "anchor": {"latitude": 49.37751, "longitude": 10.18599, "heading": 12.5, "altitude": 310.0}}

Both parts are optional. Several frames are a list of such objects. Without an anchor, a frame is metres only.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions.utm import EQUATOR_RADIUS_METRES, FLATTENING

FRAME_FILE = "frame.json"
DEFAULT_FRAME = "local"
MOST_FRAME_LETTERS = 200
ANCHOR_FIELDS = ("latitude", "longitude", "heading", "altitude")


@dataclass(frozen=True)
class Anchor:
    """Where the origin of a local frame lies on the earth.

    Args:
        latitude, longitude: degrees, WGS 84.
        heading: of the y axis, degrees clockwise from north; the x axis is 90 degrees clockwise from it.
        altitude: metres, of z = 0; None where not known.
    """

    latitude: float
    longitude: float
    heading: float = 0.0
    altitude: float | None = None

    def on_earth(self, x: float, y: float, z: float = 0.0) -> tuple[float, float, float]:
        """Latitude and longitude in degrees of a point of the frame, and its altitude, with that of the anchor or 0.

        The frame is Cartesian: x and y lie in the plane that touches the ellipsoid at the anchor.
        """
        turn = math.radians(self.heading)
        east, north = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        return _from_plane(self.latitude, self.longitude, self.altitude or 0.0, (east, north, z))


SQUARED = FLATTENING * (2 - FLATTENING)  # of the ellipsoid's eccentricity


def _from_plane(
    latitude: float, longitude: float, altitude: float, metres: tuple[float, float, float]
) -> tuple[float, float, float]:
    """A point so many metres east, north and up of another, by earth-centred coordinates and back."""
    phi, lamda = math.radians(latitude), math.radians(longitude)
    east, north, up = metres
    radius = EQUATOR_RADIUS_METRES / math.sqrt(1 - SQUARED * math.sin(phi) ** 2)
    # in the meridian's plane (outwards, polewards), and beside it
    outwards = (radius + altitude + up) * math.cos(phi) - north * math.sin(phi)
    polewards = (radius * (1 - SQUARED) + altitude + up) * math.sin(phi) + north * math.cos(phi)
    from_axis = math.hypot(outwards, east)
    found = phi
    for _ in range(6):  # each step is some hundred times as exact as the one before
        radius = EQUATOR_RADIUS_METRES / math.sqrt(1 - SQUARED * math.sin(found) ** 2)
        found = math.atan2(polewards + SQUARED * radius * math.sin(found), from_axis)
    height = from_axis * math.cos(found) + polewards * math.sin(found)
    height -= EQUATOR_RADIUS_METRES * math.sqrt(1 - SQUARED * math.sin(found) ** 2)
    turn = math.degrees(lamda + math.atan2(east, outwards))
    return math.degrees(found), (turn + 180) % 360 - 180, height


Frames = Mapping[str, Anchor | None]


def find_frames(folders: Iterable[Path]) -> Frames:
    """The frames in the first `frame.json` of some folders, by name; the default one, without an anchor, where none is.

    Raises:
        DacoError: the file cannot be read, or is not of this form.
    """
    file = next((folder / FRAME_FILE for folder in folders if (folder / FRAME_FILE).is_file()), None)
    return {DEFAULT_FRAME: None} if file is None else read_frames(file)


def read_frames(file: Path) -> Frames:
    """The frames in a file, by name, each with its anchor. Raises DacoError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DacoError(f"{file} cannot be read: {error}.") from error
    frames: dict[str, Anchor | None] = {}
    for one in content if isinstance(content, list) else [content]:
        if not isinstance(one, dict) or (extra := set(one) - {"name", "anchor"}):
            what = f"{sorted(extra)[0]!r} is no part of it" if isinstance(one, dict) else "it is no object"
            raise UsageError(f"{file}: {what}; a frame has a name and an anchor, both optional.")
        name = one.get("name", DEFAULT_FRAME)
        if not isinstance(name, str) or not 0 < len(name) <= MOST_FRAME_LETTERS:
            raise UsageError(f"{file}: the name of a frame is a text of 1 to {MOST_FRAME_LETTERS} letters.")
        if name in frames:
            raise UsageError(f"{file} has two frames with the name {name!r}.")
        frames[name] = None if one.get("anchor") is None else _anchor(one["anchor"], file)
    return frames


def _anchor(given: Any, file: Path) -> Anchor:
    needs = f"{file}: an anchor has latitude and longitude in degrees, and may have heading and altitude"
    if not isinstance(given, dict) or set(given) - set(ANCHOR_FIELDS) or not {"latitude", "longitude"} <= set(given):
        raise UsageError(f"{needs}.")
    numbers = {name: value for name, value in given.items() if value is not None}
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values()):
        raise UsageError(f"{needs}, all of them numbers.")
    anchor = Anchor(**numbers)
    if not (-90 <= anchor.latitude <= 90 and -180 <= anchor.longitude <= 180):
        raise UsageError(f"{file}: latitude {anchor.latitude}, longitude {anchor.longitude} is not on the earth.")
    return anchor


def in_frame(location: PhotoLocation, frames: Frames) -> PhotoLocation:
    """A location with the name of its frame, and with its place on the earth where the frame has an anchor.

    Its heading is then from north. A location that has no local position, or degrees of its own, keeps them.
    """
    if location.x is None or location.y is None:
        return location
    name = location.frame or (next(iter(frames)) if len(frames) == 1 else DEFAULT_FRAME)
    anchor = frames.get(name)
    named = replace(location, frame=name)
    if anchor is None or location.latitude is not None:
        return named
    latitude, longitude, height = anchor.on_earth(location.x, location.y, location.z or 0.0)
    altitude = named.altitude
    if altitude is None and anchor.altitude is not None and location.z is not None:
        altitude = height
    heading = None if location.heading is None else (location.heading + anchor.heading) % 360
    return replace(named, latitude=latitude, longitude=longitude, altitude=altitude, heading=heading)
