"""Photographs placed along a track by the times at which they were taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.tracks.capture import read_capture_time
from daco_core.photographs.tracks.offset import format_offset
from daco_core.photographs.tracks.track import Track
from daco_core.threads import in_threads

HALF_HOUR = 1800.0  # time zones differ by multiples of it, with few exceptions
MOST_HALF_HOURS = 28


@dataclass(frozen=True)
class PlacedPhotographs:
    """What a track says of photographs.

    Args:
        locations: of those that were taken while the track was recorded.
        without_time: those that do not say when they were taken.
        outside: those that were taken before the track, after it, or in a gap of it.
        advice: a sentence on the offset of whole half hours that would place more of them; empty where none would.
    """

    locations: dict[Path, PhotoLocation]
    without_time: list[Path]
    outside: list[Path]
    advice: str

    def __str__(self) -> str:
        count = len(self.locations) + len(self.without_time) + len(self.outside)
        parts = [f"{len(self.locations)} of {count} photographs are on the track"]
        if self.without_time:
            parts.append(f"{len(self.without_time)} do not say when they were taken ({self.without_time[0].name})")
        if self.outside:
            parts.append(f"{len(self.outside)} were taken before or after it, or in a gap ({self.outside[0].name})")
        return "; ".join(parts) + (f". {self.advice}" if self.advice else "")


def place_photographs(
    images: Sequence[Path], track: Track, offset: float = 0.0, camera_yaw: float = 0.0
) -> PlacedPhotographs:
    """Places photographs by their times; the heading is the direction of the track there, plus `camera_yaw`.

    Args:
        offset: seconds to add to the camera's clock.
        camera_yaw: degrees that the camera looks to the right of the direction of travel.
    """
    times = dict(zip(images, in_threads(read_capture_time, list(images), "reading times"), strict=True))
    locations: dict[Path, PhotoLocation] = {}
    outside: list[Path] = []
    for image, time in times.items():
        if time is None:
            continue
        found = track.at(time + offset)
        if found is None:
            outside.append(image)
            continue
        heading = None if found.heading is None else (found.heading + camera_yaw) % 360
        locations[image] = PhotoLocation(found.latitude, found.longitude, heading, altitude=found.altitude)
    without_time = [image for image, time in times.items() if time is None]
    known = [time + offset for time in times.values() if time is not None]
    advice = _advice(known, track, offset, len(locations)) if outside else ""
    return PlacedPhotographs(locations, without_time, outside, advice)


def _advice(times: Sequence[float], track: Track, offset: float, placed: int) -> str:
    """Which shift of whole half hours puts the most photographs on the track, if that is more than now."""
    shifts = [half * HALF_HOUR for half in range(-MOST_HALF_HOURS, MOST_HALF_HOURS + 1)]
    counts = {shift: sum(track.at(time + shift) is not None for time in times) for shift in shifts}
    best = max(shifts, key=lambda shift: (counts[shift], -abs(shift)))
    if counts[best] > placed:
        return (
            f"With --offset {format_offset(offset + best)}, as for a clock of another time zone,"
            f" {counts[best]} would be on it."
        )
    if placed:
        return ""
    return (
        f"The first was taken at {_utc(min(times))}, and the track is from {_utc(track.start)} to {_utc(track.end)}"
        " (UTC): correct the camera's clock with --offset."
    )


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")
