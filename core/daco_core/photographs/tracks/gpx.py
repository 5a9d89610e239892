"""Reads tracks from GPX files with gpxpy."""

from datetime import UTC
from pathlib import Path

from daco_core.errors import DacoError, MissingExtra, NotFound, UsageError, reason_of
from daco_core.photographs.tracks.track import Track, TrackPoint


def read_gpx(file: Path) -> Track:
    """The track in a GPX file: the timed points of all its tracks and segments, sorted by time.

    Times without a time zone are UTC, as the format defines.

    Raises:
        MissingExtra: gpxpy is not installed.
        DacoError: the file cannot be read, is not GPX, or has fewer than two points with times.
    """
    try:
        import gpxpy
        from gpxpy.gpx import GPXException
    except ImportError as error:
        raise MissingExtra("GPX files need the package gpxpy: pip install 'daco-serve[gpx]'.") from error
    try:
        document = gpxpy.parse(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise NotFound(f"There is no track {file}.") from error
    except OSError as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}.") from error
    except (GPXException, ValueError) as error:
        raise DacoError(f"{file} is not a GPX file: {error}") from error
    all_points = [point for track in document.tracks for segment in track.segments for point in segment.points]
    points = [
        TrackPoint(
            (point.time if point.time.tzinfo else point.time.replace(tzinfo=UTC)).timestamp(),
            point.latitude,
            point.longitude,
            point.elevation,
        )
        for point in all_points
        if point.time is not None and -90 <= point.latitude <= 90 and -180 <= point.longitude <= 180
    ]
    if len({point.time for point in points}) < 2:
        raise UsageError(
            f"{file} has {len(all_points)} track points, of which {len(points)} have a time and a position on the"
            " earth: a track needs two with different times."
        )
    return Track(points)
