"""Where a camera was at a time: a track of timed positions, and how it is read from a GPX file."""

from daco_core.photographs.tracks.gpx import read_gpx
from daco_core.photographs.tracks.offset import format_offset, parse_offset
from daco_core.photographs.tracks.track import Track, TrackPoint, TrackPosition

__all__ = ["Track", "TrackPoint", "TrackPosition", "format_offset", "parse_offset", "read_gpx"]
