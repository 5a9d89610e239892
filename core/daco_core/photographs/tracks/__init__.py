"""Tracks: reading timed positions, interpolating them, and placing photographs along them."""

from daco_core.photographs.tracks.gpx import read_gpx
from daco_core.photographs.tracks.offset import format_offset, parse_offset
from daco_core.photographs.tracks.placing import PlacedPhotographs, place_photographs
from daco_core.photographs.tracks.track import Track, TrackPoint, TrackPosition

__all__ = [
    "PlacedPhotographs",
    "Track",
    "TrackPoint",
    "TrackPosition",
    "format_offset",
    "parse_offset",
    "place_photographs",
    "read_gpx",
]
