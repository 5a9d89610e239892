"""The options of commands that take recordings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import option

if TYPE_CHECKING:
    from daco_core.recordings.recording import RecordingOptions


@dataclass(frozen=True)
class RecordingArguments:
    """`RecordingOptions` as options of a command, one for each field."""

    track: Annotated[
        Path | None,
        typer.Option(
            help="GPX file recorded together with the video or the photographs (by EXIF time); it gives their"
            " positions.",
        ),
    ] = None
    every: Annotated[
        str | None,
        typer.Option(
            help="Interval between two frames of a recording: metres such as 5m, or seconds such as 0.5s.",
            show_default="5m; 1m in a robot's own frame; 1s without positions",
        ),
    ] = None
    start: Annotated[
        str | None,
        typer.Option(
            help="Time of a video's first frame, such as 2026-05-01T10:00:00Z; or track, if it begins with its track.",
            show_default="the video's creation time",
        ),
    ] = None
    offset: Annotated[
        str,
        typer.Option(help="Time to add to the camera's clock: seconds, or -2h, +1h30m, ..."),
    ] = "0"
    camera_yaw: Annotated[
        float,
        option(
            "camera_yaw", "Degrees from the direction of travel to the camera's, clockwise; 180 if it looks backwards."
        ),
    ] = 0.0
    image_topic: Annotated[
        str | None,
        option("image_topic", "Topic of the images in a robot's recording.", show_default="the only one"),
    ] = None
    position_topic: Annotated[
        str | None,
        option(
            "position_topic",
            "Topic of the positions in a robot's recording.",
            show_default="the only NavSatFix, else Odometry or pose",
        ),
    ] = None

    def parse(self) -> "RecordingOptions":
        """Parses the arguments. Raises UsageError if one is malformed."""
        # imported only when a command runs, so that --help is fast
        from daco_core.photographs.tracks import parse_offset
        from daco_core.recordings.frame_selection import parse_interval
        from daco_core.recordings.recording import RecordingOptions

        return RecordingOptions(
            track=self.track,
            every=None if self.every is None else parse_interval(self.every),
            start=self.start,
            offset=parse_offset(self.offset),
            camera_yaw=self.camera_yaw,
            image_topic=self.image_topic,
            position_topic=self.position_topic,
        )
