"""Extracts photographs with positions from recordings of all kinds."""

import sys
from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError, reason_of
from daco_core.photographs.tracks import Track, read_gpx
from daco_core.recordings.bag import Bag, is_bag
from daco_core.recordings.clock import beginning, check_overlap
from daco_core.recordings.extraction import (
    Extraction,
    FrameFolder,
    Locate,
    Waypoint,
    extract_frames,
    extracted,
    file_state,
    fingerprint,
)
from daco_core.recordings.frame_selection import Interval
from daco_core.recordings.video import Video, is_video

BY_DISTANCE = Interval(5.0, "m")  # for a recording with positions on the earth
BY_SHORT_DISTANCE = Interval(1.0, "m")  # for one with positions in a local frame, such as indoors
BY_TIME = Interval(1.0, "s")


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording is converted to photographs.

    Args:
        track: a GPX file that was recorded at the same time; None for none.
        every: the interval between two photographs; None for 5 metres with positions on the earth, 1 metre with those
            in a local frame, 1 second without positions.
        start: when a video began: a time in ISO 8601, or `track` for the beginning of the track; None for the time in
            its file.
        offset: seconds to add to the clock of the images.
        camera_yaw: degrees from the direction of travel, or from a robot's front, to the camera's direction, clockwise.
        image_topic, position_topic: of a robot's recording; None for the only one.
    """

    track: Path | None = None
    every: Interval | None = None
    start: str | None = None
    offset: float = 0.0
    camera_yaw: float = 0.0
    image_topic: str | None = None
    position_topic: str | None = None


def is_recording(path: Path) -> bool:
    """Whether a path is a recording: a file by its name, a folder by its contents."""
    return is_bag(path) or is_video(path)


def extract_recording(
    recording: Path, folder: Path, options: RecordingOptions, own_folder: bool = False, progress: bool = True
) -> Extraction:
    """Extracts photographs from a recording; the result of an earlier run with the same settings is reused.

    Args:
        folder: for the photographs; or with `own_folder`, the parent of a new folder that is named after the recording
            and the settings, so that other settings do not affect it.
        progress: show progress on stderr.

    Raises:
        DacoError: the recording or its track cannot be read, they do not overlap in time, no frame is left, or the
            folder contains something else.
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
    """A recording and its destination; see the arguments of `extract_recording`."""

    recording: Path
    folder: Path
    options: RecordingOptions
    own_folder: bool
    progress: bool

    def place(self, default: Interval) -> FrameFolder:
        """The folder for the photographs, with the interval of the options or else the default one.

        Raises:
            UsageError: the interval is in metres, but there are no positions.
        """
        every = self.options.every or default
        if every.unit == "m" and default.unit == "s":
            raise UsageError(f"--every {every} needs positions: give --track, or an interval in seconds.")
        try:
            track = None if self.options.track is None else file_state(self.options.track)
            key = fingerprint(file_state(self.recording), track, every, self.options)
        except OSError as error:
            raise DacoError(f"{error.filename} cannot be read: {reason_of(error)}.") from error
        folder = self.folder / f"{self.recording.stem}-{every}-{key}" if self.own_folder else self.folder
        return FrameFolder(folder, self.recording, key, every)


def _extract_video(target: _Target) -> Extraction:
    path, options = target.recording, target.options
    if options.image_topic or options.position_topic:
        raise UsageError(f"{path} is a video, which has no topics: omit --image-topic and --position-topic.")
    folder = target.place(BY_TIME if options.track is None else BY_DISTANCE)
    if (done := extracted(folder)) is not None:
        return done
    track = None if options.track is None else read_gpx(options.track)
    with Video(path) as video:
        locate = None
        if track is not None and options.track is not None:
            start = beginning(path, video.created, options.start, track) + options.offset
            check_overlap(path, start, video.duration, options.track, track)
            locate = along_track(track, start, options.camera_yaw)
        return extract_frames(video, folder, locate, target.progress)


def _extract_bag(target: _Target) -> Extraction:
    path, options = target.recording, target.options
    if options.start is not None:
        raise UsageError(f"{path} contains its times: omit --start, and correct the times with --offset.")
    if options.track is not None and options.position_topic is not None:
        raise UsageError("--track and --position-topic both give the positions of the recording: omit one of them.")
    with Bag(path, options.image_topic, options.position_topic) as bag:
        on_earth = options.track is not None or (bag.position_topic is not None and not bag.is_local)
        folder = target.place(BY_DISTANCE if on_earth else BY_SHORT_DISTANCE if bag.is_local else BY_TIME)
        if target.progress:
            source = options.track or bag.position_topic
            positions = "no positions" if source is None else f"positions from {source}"
            print(f"{path}: images from {bag.image_topic}, {positions}", file=sys.stderr)
        if (done := extracted(folder)) is not None:
            return done
        locate = _locate_bag(bag, options)
        return extract_frames(bag, folder, locate, target.progress)


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
    """The positions of a recording that began at a time (seconds since 1970), from its track.

    Args:
        camera_yaw: degrees from the direction of travel to the camera's, clockwise.
    """

    def locate(seconds: float) -> Waypoint | None:
        position = track.at(start + seconds)
        return None if position is None else Waypoint(position.camera(camera_yaw), position.distance)

    return locate
