"""Places photographs along a track by the times at which they were taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.tracks.capture import read_capture_time
from daco_core.photographs.tracks.offset import format_offset, time_zone_shifts, utc_text
from daco_core.photographs.tracks.track import Track
from daco_core.threads import in_threads


@dataclass(frozen=True)
class PlacedPhotographs:
    """The photographs that a track could place, and those that it could not.

    Args:
        locations: of those that were taken while the track was recorded.
        without_time: those without a time of capture.
        outside: those that were taken before the track, after it, or in a gap of it.
        advice: a sentence with the offset, in multiples of half an hour, that would place more of them; empty if none
            would.
    """

    locations: dict[Path, PhotoLocation]
    without_time: list[Path]
    outside: list[Path]
    advice: str

    def __str__(self) -> str:
        count = len(self.locations) + len(self.without_time) + len(self.outside)
        parts = [f"{len(self.locations)} of {count} photographs are on the track"]
        if self.without_time:
            parts.append(f"{len(self.without_time)} have no time of capture ({self.without_time[0].name})")
        if self.outside:
            parts.append(f"{len(self.outside)} were taken before or after it, or in a gap ({self.outside[0].name})")
        return "; ".join(parts) + (f". {self.advice}" if self.advice else "")


def place_photographs(
    images: Sequence[Path], track: Track, offset: float = 0.0, camera_yaw: float = 0.0
) -> PlacedPhotographs:
    """Places photographs by their times. The heading is the track's direction at that time, plus `camera_yaw`.

    Args:
        offset: seconds to add to the camera's clock.
        camera_yaw: degrees from the direction of travel to the camera's, clockwise.
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
        locations[image] = found.camera(camera_yaw)
    without_time = [image for image, time in times.items() if time is None]
    known = [time + offset for time in times.values() if time is not None]
    advice = _advice(known, track, offset, len(locations)) if outside else ""
    return PlacedPhotographs(locations, without_time, outside, advice)


def _advice(times: Sequence[float], track: Track, offset: float, placed: int) -> str:
    """Advises the offset, in multiples of half an hour, that puts the most photographs on the track, if it helps."""
    shifts = time_zone_shifts()
    counts = {shift: sum(track.at(time + shift) is not None for time in times) for shift in shifts}
    best = max(shifts, key=lambda shift: (counts[shift], -abs(shift)))
    if counts[best] > placed:
        return (
            f"With --offset {format_offset(offset + best)}, for a clock in another time zone,"
            f" {counts[best]} would be on it."
        )
    if placed:
        return ""
    return (
        f"The first was taken at {utc_text(min(times))}; the track lasts from {utc_text(track.start)} to"
        f" {utc_text(track.end)} (UTC): correct the camera's clock with --offset."
    )
