"""Extracts the frames of a recording to a folder of photographs with `locations.csv`, which every command takes.

    ride-5m-1f3a9c2b/ride_000012.500s.jpg   a frame, named by its seconds since the recording began
    ride-5m-1f3a9c2b/locations.csv          where each frame was taken, if known
    ride-5m-1f3a9c2b/frames.json            the recording and the settings; written last

A folder with `frames.json` is complete and is used as it is. Without it, extraction is resumed: the recording is read
again, but existing frames are not written again.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.files import replace_file, write_text
from daco_core.photographs.images import list_images
from daco_core.photographs.locations import LOCATIONS_FILE, PhotoLocation, write_locations
from daco_core.recordings.frame_selection import LOOKED_AT_WIDTH, BlurDetector, Interval

RECORD_FILE = "frames.json"
FORMAT_VERSION = 1
QUALITY = 92  # of the JPEG files


class RecordedFrame(Protocol):
    """One frame of a recording, decoded only when needed."""

    @property
    def seconds(self) -> float:
        """Seconds since the recording began."""

    def image(self) -> Image.Image:
        """The frame in RGB, upright."""

    def grey(self, width: int) -> NDArray[np.uint8]:
        """The frame's brightness, (height, width), with about this width."""


class OpenRecording(Protocol):
    """An open recording."""

    @property
    def duration(self) -> float | None:
        """Its seconds; None if unknown."""

    @property
    def damaged(self) -> int:
        """How many frames could not be decoded so far."""

    def frames(self) -> Iterator[RecordedFrame]:
        """The frames in the order of their times."""


@dataclass(frozen=True)
class Waypoint:
    """The position of a recording at a time.

    Args:
        location: of the camera.
        distance: metres along the way from its start; never decreases with time.
    """

    location: PhotoLocation
    distance: float


Locate = Callable[[float], Waypoint | None]
"""The position of a recording so many seconds after its start; None if unknown."""


@dataclass(frozen=True)
class FrameFolder:
    """The folder in which the frames of a recording become photographs.

    Args:
        path: of the folder, which need not exist.
        recording: the file or folder that the frames come from, for names and records.
        key: the fingerprint of the recording and the settings.
        every: the interval between two photographs.
    """

    path: Path
    recording: Path
    key: str
    every: Interval


@dataclass(frozen=True)
class Extraction:
    """The result of extracting the frames of a recording.

    Args:
        folder: the folder with the photographs.
        read: number of frames read.
        kept: number of photographs made of them.
        blurred: frames that were due but blurred; the next sharp one was taken.
        unlocated: frames left out because the track does not cover their time.
        damaged: frames that cannot be decoded.
        before: whether an earlier run had completed the folder already.
    """

    folder: Path
    read: int
    kept: int
    blurred: int
    unlocated: int
    damaged: int
    before: bool = False

    def __str__(self) -> str:
        if self.before:
            return f"{self.kept} frames were extracted before: {self.folder}"
        left_out = {
            "blurred": self.blurred,
            "without a position on the track": self.unlocated,
            "damaged": self.damaged,
        }
        why = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
        return f"{self.kept} of {self.read} frames extracted to {self.folder}" + (f"; left out: {why}" if why else "")


def fingerprint(*parts: object) -> str:
    """Eight letters and digits that identify the contents of a folder of frames: recording and settings."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def file_state(path: Path) -> tuple[str, list[tuple[str, int, int]]]:
    """The current state of a file, or of a folder with all its files: absolute path, sizes, times. Raises OSError."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return str(path.resolve()), [(file.name, state.st_size, state.st_mtime_ns) for file, state in states]


def extracted(folder: FrameFolder) -> Extraction | None:
    """What an earlier run completed in a folder; None if there was none, or if it was interrupted.

    Raises:
        UsageError: the folder contains other photographs.
        DacoError: its record cannot be read.
    """
    path = folder.path
    file = path / RECORD_FILE
    if path.is_file():
        raise UsageError(f"{path} is a file: name an empty or new folder.")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["key"] != folder.key:
            raise UsageError(
                f"{path} contains the frames of {record['recording']}, extracted with other settings or before the"
                " recording was changed: name another folder, or delete this one."
            )
        if record["complete"]:
            return Extraction(path, **record["frames"], before=True)
        return None
    except FileNotFoundError as error:
        if path.is_dir() and list_images(path):
            raise UsageError(f"{path} already contains photographs: name an empty or new folder.") from error
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DacoError(f"{file} cannot be read ({reason_of(error)}): delete {path}.") from error


def extract_frames(
    source: OpenRecording, folder: FrameFolder, locate: Locate | None = None, progress: bool = True
) -> Extraction:
    """Writes the frames of a recording as photographs into a folder of their own.

    Args:
        folder: created if it is missing; call `extracted` first to see whether it is complete. An interval in metres
            needs `locate`.
        locate: gives the positions; frames without one are left out. None for no positions.
        progress: show progress on stderr.

    Raises:
        DacoError: a frame cannot be written; or what the source raises.
    """
    path = folder.path
    selection = _Selection(folder.every, locate)
    locations: dict[str, PhotoLocation] = {}
    kept: set[str] = set()
    try:
        path.mkdir(parents=True, exist_ok=True)
        _write_record(folder, None)
        for frame, waypoint in selection.of(_with_progress(source, progress)):
            name = f"{folder.recording.stem}_{frame.seconds:010.3f}s.jpg"
            kept.add(name)
            if waypoint is not None:
                locations[name] = waypoint.location
            if not (path / name).exists():
                with replace_file(path / name) as fresh:
                    frame.image().save(fresh, "JPEG", quality=QUALITY)
        if locations:
            write_locations(path, locations)
        extraction = Extraction(path, selection.read, len(kept), selection.blurred, selection.unlocated, source.damaged)
        if kept:
            _write_record(folder, extraction)
    except OSError as error:
        raise DacoError(f"No frames can be written to {path}: {reason_of(error)}.") from error
    return extraction


def _with_progress(source: OpenRecording, progress: bool) -> Iterator[RecordedFrame]:
    """The frames of a source; the seconds read are shown on stderr."""
    bar = tqdm(total=source.duration, desc="frames", unit=" s", disable=not progress, delay=1, file=sys.stderr)
    with bar:
        for frame in source.frames():
            bar.update(max(0.0, round(frame.seconds, 1) - bar.n))
            yield frame


class _Selection:
    """Selects the frames that become photographs, and counts the others.

    Args:
        every: the interval between two of them.
        locate: gives the positions; None for no positions.
    """

    def __init__(self, every: Interval, locate: Locate | None) -> None:
        self._every = every
        self._locate = locate
        self.read = self.blurred = self.unlocated = 0

    def of(self, frames: Iterator[RecordedFrame]) -> Iterator[tuple[RecordedFrame, Waypoint | None]]:
        """The selected frames with their positions."""
        blur, due = BlurDetector(), -np.inf
        for frame in frames:
            self.read += 1
            is_blurred = blur.is_blurred(frame.grey(LOOKED_AT_WIDTH))
            waypoint = None if self._locate is None else self._locate(frame.seconds)
            if self._locate is not None and waypoint is None:
                self.unlocated += 1
                continue
            now = waypoint.distance if waypoint is not None and self._every.unit == "m" else frame.seconds
            if now + 1e-6 < due:
                continue
            if is_blurred:
                self.blurred += 1
                continue
            due = now + self._every.length
            yield frame, waypoint


def _write_record(folder: FrameFolder, done: Extraction | None) -> None:
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "recording": str(folder.recording.resolve()),
        "every": str(folder.every),
        "key": folder.key,
        "complete": done is not None,
        "positions": LOCATIONS_FILE if (folder.path / LOCATIONS_FILE).exists() else None,
    }
    if done is not None:
        record["frames"] = {name: value for name, value in asdict(done).items() if name not in ("folder", "before")}
    write_text(folder.path / RECORD_FILE, json.dumps(record, indent=2) + "\n")
