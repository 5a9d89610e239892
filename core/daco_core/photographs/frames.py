"""Local frames: coordinates in metres (x, y, z upwards), and the anchor that places such a frame on the earth.

`frame.json` next to photographs, or next to the table with their positions, defines what x, y and z mean:

    {"name": "hall", "anchor": {"latitude": 49.37751, "longitude": 10.18599, "heading": 12.5, "altitude": 310.0}}

Both parts are optional. Several frames are given as a list of such objects. Without an anchor, positions are known in
the frame only.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.photographs.coordinates import EQUATOR_RADIUS_METRES, FLATTENING
from daco_core.photographs.locations import PhotoLocation

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
        altitude: of z = 0, in metres; None if unknown.
    """

    latitude: float
    longitude: float
    heading: float = 0.0
    altitude: float | None = None

    def on_earth(self, x: float, y: float, z: float = 0.0) -> tuple[float, float, float]:
        """Latitude, longitude (degrees) and altitude of a point of the frame; without an anchor altitude, from 0.

        The frame is Cartesian: x and y lie in the plane that touches the ellipsoid at the anchor.
        """
        turn = math.radians(self.heading)
        east, north = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        return _from_plane(self.latitude, self.longitude, self.altitude or 0.0, (east, north, z))


SQUARED = FLATTENING * (2 - FLATTENING)  # of the ellipsoid's eccentricity


def _from_plane(
    latitude: float, longitude: float, altitude: float, metres: tuple[float, float, float]
) -> tuple[float, float, float]:
    """The point that lies so many metres east, north and up of another, computed in earth-centred coordinates."""
    phi, lamda = math.radians(latitude), math.radians(longitude)
    east, north, up = metres
    radius = EQUATOR_RADIUS_METRES / math.sqrt(1 - SQUARED * math.sin(phi) ** 2)
    # in the plane of the meridian (away from the axis, along the axis), and at right angles to it
    outwards = (radius + altitude + up) * math.cos(phi) - north * math.sin(phi)
    polewards = (radius * (1 - SQUARED) + altitude + up) * math.sin(phi) + north * math.cos(phi)
    from_axis = math.hypot(outwards, east)
    found = phi
    for _ in range(6):  # each step is about a hundred times as precise as the one before
        radius = EQUATOR_RADIUS_METRES / math.sqrt(1 - SQUARED * math.sin(found) ** 2)
        found = math.atan2(polewards + SQUARED * radius * math.sin(found), from_axis)
    height = from_axis * math.cos(found) + polewards * math.sin(found)
    height -= EQUATOR_RADIUS_METRES * math.sqrt(1 - SQUARED * math.sin(found) ** 2)
    turn = math.degrees(lamda + math.atan2(east, outwards))
    return math.degrees(found), (turn + 180) % 360 - 180, height


Frames = Mapping[str, Anchor | None]


def find_frames(folders: Iterable[Path]) -> Frames:
    """The frames in the first `frame.json` of some folders, by name; the default frame, without an anchor, if none.

    Raises:
        DacoError: the file cannot be read, or has another structure.
    """
    file = next((folder / FRAME_FILE for folder in folders if (folder / FRAME_FILE).is_file()), None)
    return {DEFAULT_FRAME: None} if file is None else read_frames(file)


def read_frames(file: Path) -> Frames:
    """The frames in a file, by name, each with its anchor. Raises DacoError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}.") from error
    frames: dict[str, Anchor | None] = {}
    for one in content if isinstance(content, list) else [content]:
        if not isinstance(one, dict) or (extra := set(one) - {"name", "anchor"}):
            what = f"{sorted(extra)[0]!r} is not a known key" if isinstance(one, dict) else "it is not an object"
            raise UsageError(f"{file}: {what}; a frame has a name and an anchor, both optional.")
        name = one.get("name", DEFAULT_FRAME)
        if not isinstance(name, str) or not 0 < len(name) <= MOST_FRAME_LETTERS:
            raise UsageError(f"{file}: the name of a frame must be a text of 1 to {MOST_FRAME_LETTERS} characters.")
        if name in frames:
            raise UsageError(f"{file} has two frames named {name!r}.")
        frames[name] = None if one.get("anchor") is None else _anchor(one["anchor"], file)
    return frames


def _anchor(given: Any, file: Path) -> Anchor:
    needs = f"{file}: an anchor needs latitude and longitude in degrees; heading and altitude are optional"
    if not isinstance(given, dict) or set(given) - set(ANCHOR_FIELDS) or not {"latitude", "longitude"} <= set(given):
        raise UsageError(f"{needs}.")
    numbers = {name: value for name, value in given.items() if value is not None}
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values()):
        raise UsageError(f"{needs}. All of them must be numbers.")
    anchor = Anchor(**numbers)
    if not (-90 <= anchor.latitude <= 90 and -180 <= anchor.longitude <= 180):
        raise UsageError(f"{file}: latitude {anchor.latitude}, longitude {anchor.longitude} is not on the earth.")
    return anchor


def in_frame(location: PhotoLocation, frames: Frames) -> PhotoLocation:
    """A location with the name of its frame, and with its position on the earth if the frame has an anchor.

    Its heading is then clockwise from north. A location without a local position, or with its own latitude and
    longitude, is unchanged.
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
