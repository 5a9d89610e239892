"""Recordings of every kind to photographs with positions."""

import sys
from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.tracks import Track, TrackPosition, parse_offset, read_gpx
from daco_core.recordings.bag import Bag, is_bag
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
from daco_core.recordings.video import Video, is_video

BY_DISTANCE = Interval(5.0, "m")  # of a recording with positions on the earth
BY_SHORT_DISTANCE = Interval(1.0, "m")  # of one with positions in a frame of its own, as indoors
BY_TIME = Interval(1.0, "s")


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording becomes photographs.

    Args:
        track: a GPX file with the way of the recording; None for none.
        every: what lies between two photographs; None for 5 metres with positions on the earth, 1 metre with those in a
            local frame, 1 second without.
        start: when a video began: a time in ISO 8601, or `track` for the beginning of the track; None for what its file
            says.
        offset: seconds to add to the clock of the images.
        camera_yaw: degrees that the camera looks to the right of the direction of travel, or of a robot's front.
        image_topic, position_topic: of a robot's recording; None for the only one.
    """

    track: Path | None = None
    every: Interval | None = None
    start: str | None = None
    offset: float = 0.0
    camera_yaw: float = 0.0
    image_topic: str | None = None
    position_topic: str | None = None


def parse_options(
    track: Path | None = None,
    every: str | None = None,
    start: str | None = None,
    offset: str = "0",
    camera_yaw: float = 0.0,
    image_topic: str | None = None,
    position_topic: str | None = None,
) -> RecordingOptions:
    """The options as a command line has them. Raises UsageError."""
    interval = None if every is None else parse_interval(every)
    return RecordingOptions(track, interval, start, parse_offset(offset), camera_yaw, image_topic, position_topic)


def is_recording(path: Path) -> bool:
    """Whether a path is a recording, by its name; of a folder, by what is in it."""
    return is_bag(path) or is_video(path)


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
    if not recording.exists():
        raise NotFound(f"There is no recording {recording}.")
    target = _Target(recording, folder, options, own_folder, progress)
    done = _extract_bag(target) if is_bag(recording) else _extract_video(target)
    if not done.kept:
        raise DacoError(f"No photograph can be made of {recording}: {done}.")
    return done


@dataclass(frozen=True)
class _Target:
    """What is to be extracted, and where to; the arguments of `extract_recording`."""

    recording: Path
    folder: Path
    options: RecordingOptions
    own_folder: bool
    progress: bool

    def place(self, default: Interval) -> tuple[Path, str, Interval]:
        """The folder for the photographs, the fingerprint of what they are made of, and what lies between two.

        Raises:
            UsageError: metres were asked for, and there are no positions.
        """
        every = self.options.every or default
        if every.unit == "m" and default.unit == "s":
            raise UsageError(f"--every {every} needs positions: give --track, or an interval in seconds.")
        try:
            track = None if self.options.track is None else file_state(self.options.track)
            key = fingerprint(file_state(self.recording), track, every, self.options)
        except OSError as error:
            raise DacoError(f"{error.filename} cannot be read: {error.strerror}.") from error
        folder = self.folder / f"{self.recording.stem}-{every}-{key}" if self.own_folder else self.folder
        return folder, key, every


def _extract_video(target: _Target) -> Extraction:
    path, options = target.recording, target.options
    if options.image_topic or options.position_topic:
        raise UsageError(f"{path} is a video, which has no topics: leave --image-topic and --position-topic out.")
    folder, key, every = target.place(BY_TIME if options.track is None else BY_DISTANCE)
    if (done := extracted(folder, key)) is not None:
        return done
    track = None if options.track is None else read_gpx(options.track)
    with Video(path) as video:
        locate = None
        if track is not None and options.track is not None:
            start = beginning(path, video.created, options.start, track) + options.offset
            check_overlap(path, start, video.duration, options.track, track)
            locate = along_track(track, start, options.camera_yaw)
        return extract_frames(
            video.frames(), folder, path, key, every, locate, lambda: video.damaged, video.duration, target.progress
        )


def _extract_bag(target: _Target) -> Extraction:
    path, options = target.recording, target.options
    if options.start is not None:
        raise UsageError(f"{path} knows its times: leave --start out, and correct them with --offset.")
    if options.track is not None and options.position_topic is not None:
        raise UsageError("--track and --position-topic both say where the recording was: leave one of them out.")
    with Bag(path, options.image_topic, options.position_topic) as bag:
        on_earth = options.track is not None or (bag.position_topic is not None and not bag.is_local)
        folder, key, every = target.place(BY_DISTANCE if on_earth else BY_SHORT_DISTANCE if bag.is_local else BY_TIME)
        if target.progress:
            positions = options.track or bag.position_topic or "nowhere"
            print(f"{path}: images from {bag.image_topic}, positions from {positions}", file=sys.stderr)
        if (done := extracted(folder, key)) is not None:
            return done
        locate = _locate_bag(bag, options)
        return extract_frames(
            bag.frames(), folder, path, key, every, locate, lambda: bag.damaged, bag.duration, target.progress
        )


def _locate_bag(bag: Bag, options: RecordingOptions) -> Locate | None:
    if options.track is None and bag.position_topic is None:
        return None
    start = bag.start + options.offset
    if options.track is None and bag.is_local:
        odometry = bag.odometry()
        return lambda seconds: odometry.at(start + seconds, options.camera_yaw)
    track = bag.track() if options.track is None else read_gpx(options.track)
    check_overlap(bag.path, start, bag.duration, options.track or Path(bag.position_topic or ""), track)
    return along_track(track, start, options.camera_yaw)


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
