"""Recordings of every kind to photographs with positions."""

from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.tracks import Track, TrackPosition, parse_offset, read_gpx
from daco_core.recordings.choice import Interval, parse_interval
from daco_core.recordings.clock import beginning, check_overlap
from daco_core.recordings.extraction import (
    Extraction,
    Locate,
    Waypoint,
    extract_frames,
    extracted,
    file_state,
    fingerprint,
)
from daco_core.recordings.video import SUFFIXES as VIDEO_SUFFIXES
from daco_core.recordings.video import Video

BY_DISTANCE = Interval(5.0, "m")  # of a recording with positions
BY_TIME = Interval(1.0, "s")


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording becomes photographs.

    Args:
        track: a GPX file with the way of a video; None for none.
        every: what lies between two photographs; None for 5 metres with positions, 1 second without.
        start: when a video began: a time in ISO 8601, or `track` for the beginning of the track; None for what its file
            says.
        offset: seconds to add to a video's clock.
        camera_yaw: degrees that the camera looks to the right of the direction of travel.
    """

    track: Path | None = None
    every: Interval | None = None
    start: str | None = None
    offset: float = 0.0
    camera_yaw: float = 0.0

    def interval(self, located: bool) -> Interval:
        """What lies between two photographs of a recording with or without positions. Raises UsageError."""
        if self.every is None:
            return BY_DISTANCE if located else BY_TIME
        if self.every.unit == "m" and not located:
            raise UsageError(f"--every {self.every} needs positions: give --track, or an interval in seconds.")
        return self.every


def parse_options(
    track: Path | None, every: str | None, start: str | None, offset: str, camera_yaw: float
) -> RecordingOptions:
    """The options as a command line has them. Raises UsageError."""
    interval = None if every is None else parse_interval(every)
    return RecordingOptions(track, interval, start, parse_offset(offset), camera_yaw)


def is_recording(path: Path) -> bool:
    """Whether a path is a recording, by its name."""
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


def extract_recording(
    recording: Path, folder: Path, options: RecordingOptions, own_folder: bool = False, progress: bool = True
) -> Extraction:
    """Makes photographs of the frames of a recording; what an earlier run made is not made again.

    Args:
        folder: for the photographs; or with `own_folder`, in which they get a folder of their own, named after the
            recording and the settings, so that other settings do not touch it.
        progress: show progress on stderr.

    Raises:
        DacoError: the recording or its track cannot be read, they have no time in common, no frame is left, or the
            folder holds something else.
    """
    every = options.interval(options.track is not None)
    if not recording.exists():
        raise NotFound(f"There is no recording {recording}.")
    try:
        track_state = None if options.track is None else file_state(options.track)
        key = fingerprint(file_state(recording), track_state, every, options.start, options.offset, options.camera_yaw)
    except OSError as error:
        raise DacoError(f"{error.filename} cannot be read: {error.strerror}.") from error
    if own_folder:
        folder = folder / f"{recording.stem}-{every}-{key}"
    done = extracted(folder, key)
    if done is None:
        done = _extract_video(recording, folder, key, every, options, progress)
    if not done.kept:
        raise DacoError(f"No photograph can be made of {recording}: {done}.")
    return done


def _extract_video(
    path: Path, folder: Path, key: str, every: Interval, options: RecordingOptions, progress: bool
) -> Extraction:
    track = None if options.track is None else read_gpx(options.track)
    with Video(path) as video:
        locate = None
        if track is not None and options.track is not None:
            start = beginning(path, video.created, options.start, track) + options.offset
            check_overlap(path, start, video.duration, options.track, track)
            locate = along_track(track, start, options.camera_yaw)
        return extract_frames(
            video.frames(), folder, path, key, every, locate, lambda: video.damaged, video.duration, progress
        )


def along_track(track: Track, start: float, camera_yaw: float = 0.0) -> Locate:
    """Where a recording that began at a time (seconds since 1970) was, from its track.

    Args:
        camera_yaw: degrees that the camera looks to the right of the direction of travel.
    """

    def locate(seconds: float) -> Waypoint | None:
        position = track.at(start + seconds)
        return None if position is None else Waypoint(_location(position, camera_yaw), position.distance)

    return locate


def _location(position: TrackPosition, camera_yaw: float) -> PhotoLocation:
    heading = None if position.heading is None else (position.heading + camera_yaw) % 360
    return PhotoLocation(position.latitude, position.longitude, heading, altitude=position.altitude)
