"""The options of commands that take recordings."""

from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import option

Track = Annotated[
    Path | None,
    typer.Option(
        "--track",
        help="GPX file recorded together with the video or the photographs (by EXIF time); it gives their positions.",
    ),
]
Every = Annotated[
    str | None,
    typer.Option(
        "--every",
        help="Interval between two frames of a recording: metres such as 5m, or seconds such as 0.5s.",
        show_default="5m; 1m in a robot's own frame; 1s without positions",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="Time of a video's first frame, such as 2026-05-01T10:00:00Z; or track, if it begins with its track.",
        show_default="the video's creation time",
    ),
]
Offset = Annotated[
    str,
    typer.Option("--offset", help="Time to add to the camera's clock: seconds, or -2h, +1h30m, ..."),
]
CameraYaw = Annotated[
    float,
    option("camera_yaw", "Degrees from the direction of travel to the camera's, clockwise; 180 if it looks backwards."),
]
ImageTopic = Annotated[
    str | None,
    option("image_topic", "Topic of the images in a robot's recording.", show_default="the only one"),
]
PositionTopic = Annotated[
    str | None,
    option(
        "position_topic",
        "Topic of the positions in a robot's recording.",
        show_default="the only NavSatFix, else Odometry or pose",
    ),
]
