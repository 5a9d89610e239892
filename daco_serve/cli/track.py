"""`daco-serve track`: follows a camera through a folder of frames or a video, and writes its track."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import check_output, option
from daco_core.errors import DacoError, MissingExtra, UsageError, reason_of
from daco_core.photographs.coordinates import geojson_point
from daco_core.untrusted_text import csv_cell

if TYPE_CHECKING:
    from daco_serve.http.track_schemas import TrackLocation, TrackState

FORMS = (".gpx", ".geojson", ".csv")
COLUMNS = (
    "frame",
    "seconds",
    "status",
    "probability",
    "place",
    "latitude",
    "longitude",
    "heading",
    "uncertainty_metres",
    "altitude",
    "x",
    "y",
    "z",
    "floor",
    "local_frame",
)


def track(
    source: Annotated[
        Path, typer.Argument(help="Folder of frames, in the natural order of their names, or a video file.")
    ],
    out: Annotated[Path, option("out", "File to write: .gpx, .geojson or .csv.")],
    seconds: Annotated[
        float, option("seconds", "Interval between two frames; of a video, frames are taken at it.", min=0.001)
    ] = 1.0,
    speed: Annotated[float, option("speed", "The camera's highest speed, in metres per second.", min=0.01)] = 15.0,
    smooth: Annotated[
        bool, typer.Option("--smooth/--live", help="Estimate each frame from all frames, or from those up to it.")
    ] = True,
    url: Annotated[str, option("url", "Address of the server.")] = "http://127.0.0.1:8000",
    index: Annotated[str | None, option("index", "Name of the index.", show_default="the server's first")] = None,
    key: Annotated[
        str | None,
        option(
            "key", "API key; use the variable DACO_KEY to hide it from other users of the machine.", envvar="DACO_KEY"
        ),
    ] = None,
) -> None:
    """Follow a camera through the frames in a folder or a video, and write its track.

    Videos need the extra video, and .gpx files the extra gpx.

    Example: daco-serve track ride.mp4 --seconds 0.5 --out ride.gpx
    """
    from tqdm import tqdm

    from daco_core.files import write_text
    from daco_serve.cli.frame_sources import FrameSource, SourceFrame
    from daco_serve.client import Client, Refused
    from daco_serve.client.track import Tracked, TrackFrame, final_states
    from daco_serve.http.track_schemas import MOST_SMOOTHED, FrameHeader, SmoothedTrack, TrackSettings

    check_output("--out", out, FORMS)
    frames = FrameSource(source, seconds)
    if smooth and (frames.count or 0) > MOST_SMOOTHED:
        raise UsageError(
            f"{source} contains {frames.count} frames; at most {MOST_SMOOTHED} can be smoothed: add --live."
        )
    taken: list[SourceFrame] = []

    def sent() -> Iterator[TrackFrame]:
        for frame in frames:
            taken.append(replace(frame, photograph=b""))  # the frames of a long video would not fit in memory
            yield TrackFrame(frame.photograph, FrameHeader(timestamp=frame.seconds))

    settings = TrackSettings(speed=speed, step_seconds=seconds, drop=False, smooth=smooth, k=1)
    bar = tqdm(total=frames.count, desc="following", unit=" frames", delay=2)

    def counted(answers: Iterable[Tracked]) -> Iterator[Tracked]:
        for answer in answers:
            if isinstance(answer, Refused):
                typer.echo(f"{taken[-1].name}: {answer}", err=True)
            bar.update(not isinstance(answer, SmoothedTrack))
            yield answer

    with Client(url, key, index) as client, bar:
        states = final_states(counted(client.track(sent(), settings)))
    rows = [
        (number, round(frame.seconds, 6), state)
        for number, (frame, state) in enumerate(zip(taken, states, strict=True))
        if not isinstance(state, Refused)
    ]
    if frames.damaged:
        typer.echo(f"{source}: {frames.damaged} packets or frames could not be decoded.", err=True)
    if not rows:
        raise typer.Exit(1)
    placed = [state.location for _, _, state in rows if state.location is not None]
    if placed and out.suffix.lower() != ".csv" and all(location.latitude is None for location in placed):
        raise UsageError(
            f"The index has a local frame without an anchor, and {out.suffix.lower()} files need degrees: write .csv."
        )
    try:
        write_text(out, WRITERS[out.suffix.lower()](rows))
    except OSError as error:
        raise DacoError(f"{out} cannot be written: {reason_of(error)}.") from error
    found = sum(state.status == "tracking" for _, _, state in rows)
    typer.echo(f"{out}: {len(rows)} frames, {found} of them with a position.")
    if len(rows) < len(taken):
        raise typer.Exit(1)


Row = tuple[int, float, "TrackState"]


def _as_csv(rows: Sequence[Row]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, seconds, state in rows:
        place = state.location
        writer.writerow([number, seconds, state.status, state.probability, csv_cell(state.place or ""), *_cells(place)])
    return text.getvalue()


def _cells(place: "TrackLocation | None") -> list[object]:
    """The columns from the latitude on; unknown values are empty."""
    if place is None:
        return [""] * len(COLUMNS[5:])
    local = place.local
    return [
        place.latitude,
        place.longitude,
        place.heading,
        place.uncertainty_metres,
        place.altitude,
        *((local.x, local.y, local.z) if local else ("", "", "")),
        csv_cell(place.floor or ""),
        csv_cell(local.frame if local else ""),
    ]


def _as_geojson(rows: Sequence[Row]) -> str:
    features = []
    for number, seconds, state in rows:
        properties = {"frame": number, "seconds": seconds, **state.model_dump(exclude={"location"})}
        geometry = None
        if (location := state.location) is not None:
            properties |= location.model_dump(exclude={"latitude", "longitude"})
            geometry = geojson_point(location.latitude, location.longitude, location.altitude)
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return json.dumps({"type": "FeatureCollection", "features": features}) + "\n"


def _as_gpx(rows: Sequence[Row]) -> str:
    """The frames with a position as one track, with a new segment after each gap."""
    try:
        from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment
    except ImportError as error:
        raise MissingExtra("GPX files need the package gpxpy: pip install 'daco-serve[gpx]'.") from error
    ride = GPXTrack()
    segment = GPXTrackSegment()
    for number, seconds, state in rows:
        location = state.location
        if state.status == "tracking" and location is not None and location.latitude is not None:
            point = GPXTrackPoint(location.latitude, location.longitude, location.altitude)
            point.comment = f"frame {number}, {seconds:g} s, within {location.uncertainty_metres:g} m"
            segment.points.append(point)
        elif segment.points:
            ride.segments.append(segment)
            segment = GPXTrackSegment()
    if segment.points:
        ride.segments.append(segment)
    document = GPX()
    document.creator = "daco-serve"
    document.tracks.append(ride)
    return str(document.to_xml())


WRITERS = {".csv": _as_csv, ".geojson": _as_geojson, ".gpx": _as_gpx}
