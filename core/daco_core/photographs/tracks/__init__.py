"""Tracks: reading timed positions, interpolating them, and placing photographs along them."""

from daco_core.photographs.tracks.gpx import read_gpx
from daco_core.photographs.tracks.offset import format_offset, parse_offset, time_zone_shifts, utc_text
from daco_core.photographs.tracks.placing import PlacedPhotographs, place_photographs
from daco_core.photographs.tracks.timed_path import TimedPath, in_order
from daco_core.photographs.tracks.track import Track, TrackPoint, TrackPosition

__all__ = [
    "PlacedPhotographs",
    "TimedPath",
    "Track",
    "TrackPoint",
    "TrackPosition",
    "format_offset",
    "in_order",
    "parse_offset",
    "place_photographs",
    "read_gpx",
    "time_zone_shifts",
    "utc_text",
]
