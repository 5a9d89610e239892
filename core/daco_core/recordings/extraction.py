"""Frames of a recording as a folder of photographs with `locations.csv`, which every command takes.

    ride-5m-1f3a9c2b/ride_000012.500s.jpg   a frame, by its seconds since the recording began
    ride-5m-1f3a9c2b/locations.csv          where each was taken, if that is known
    ride-5m-1f3a9c2b/frames.json            what they were made of and how; written last

A folder with `frames.json` is complete, and is not made again. One without is resumed: the recording is read again, and
frames that are there already are not written again.
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

from daco_core.errors import DacoError, UsageError
from daco_core.files import replace_file, write_text
from daco_core.photographs.images import list_images
from daco_core.photographs.locations import LOCATIONS_FILE, PhotoLocation, write_locations
from daco_core.recordings.choice import LOOKED_AT_WIDTH, BlurDetector, Interval

RECORD_FILE = "frames.json"
FORMAT_VERSION = 1
QUALITY = 92  # of the JPEG files


class RecordedFrame(Protocol):
    """One frame of a recording, decoded when it is asked for."""

    @property
    def seconds(self) -> float:
        """Since the recording began."""

    def image(self) -> Image.Image:
        """In RGB, upright."""

    def grey(self, width: int) -> NDArray[np.uint8]:
        """Its brightness, (height, width), with about that width."""


@dataclass(frozen=True)
class Waypoint:
    """Where a recording was at a time.

    Args:
        location: of the camera.
        distance: metres of the way from its start; never falls with time.
    """

    location: PhotoLocation
    distance: float


Locate = Callable[[float], Waypoint | None]
"""Where a recording was, so many seconds after its start; None where that is not known."""


@dataclass(frozen=True)
class Extraction:
    """What became of the frames of a recording.

    Args:
        folder: that holds the photographs.
        read: frames that were read.
        kept: photographs that were made of them.
        blurred: frames left out because they are blurred, of those whose turn it was; the next sharp one was taken.
        unlocated: frames left out because the track does not say where they were taken.
        damaged: frames that cannot be decoded.
        before: it was there, complete, before this run.
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
    """Eight letters and digits that stand for what a folder of frames is made of and how."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def file_state(path: Path) -> tuple[str, list[tuple[str, int, int]]]:
    """A file, or a folder with all its files, as it is now: absolute path, sizes, times of change. Raises OSError."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return str(path.resolve()), [(file.name, state.st_size, state.st_mtime_ns) for file, state in states]


def extracted(folder: Path, key: str) -> Extraction | None:
    """What an earlier run made in a folder; None where it made nothing yet, or was stopped.

    Args:
        key: the fingerprint of the recording and the settings.

    Raises:
        UsageError: the folder holds other photographs.
        DacoError: its record cannot be read.
    """
    file = folder / RECORD_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["key"] != key:
            raise UsageError(
                f"{folder} holds the frames of {record['recording']}, taken with other settings or before it was"
                " changed: name another folder, or delete this one."
            )
        if record["complete"]:
            return Extraction(folder, **record["frames"], before=True)
        return None
    except FileNotFoundError as error:
        if folder.is_dir() and list_images(folder):
            raise UsageError(f"{folder} holds photographs already: name a folder of its own.") from error
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DacoError(f"{file} cannot be read ({error}): delete {folder}.") from error


def extract_frames(
    frames: Iterator[RecordedFrame],
    folder: Path,
    recording: Path,
    key: str,
    every: Interval,
    locate: Locate | None = None,
    damaged: Callable[[], int] = lambda: 0,
    duration: float | None = None,
    progress: bool = True,
) -> Extraction:
    """Makes photographs of the frames of a recording, in a folder of their own.

    Args:
        frames: in the order of their times.
        folder: made if it is missing; `extracted` says whether it needs to be made at all.
        recording: the file or folder that the frames come from, for names and records.
        key: the fingerprint of the recording and the settings.
        every: what lies between two photographs; metres only with `locate`.
        locate: where they were taken; frames that it does not know are left out. None for no positions.
        damaged: how many frames could not be decoded so far.
        duration: seconds of the recording, for the progress.
        progress: show progress on stderr.

    Raises:
        DacoError: a frame cannot be written; or as `frames` raises.
    """
    blur, due = BlurDetector(), -np.inf
    read = blurred = unlocated = 0
    locations: dict[str, PhotoLocation] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_record(folder, recording, key, every, None)
        kept: set[str] = set()
        bar = tqdm(total=duration, desc="frames", unit=" s", disable=not progress, delay=1, file=sys.stderr)
        with bar:
            for frame in frames:
                read += 1
                bar.update(max(0.0, round(frame.seconds, 1) - bar.n))
                is_blurred = blur.is_blurred(frame.grey(LOOKED_AT_WIDTH))
                waypoint = None if locate is None else locate(frame.seconds)
                if locate is not None and waypoint is None:
                    unlocated += 1
                    continue
                now = waypoint.distance if waypoint is not None and every.unit == "m" else frame.seconds
                if now + 1e-6 < due:
                    continue
                if is_blurred:
                    blurred += 1
                    continue
                due = now + every.length
                name = f"{recording.stem}_{frame.seconds:010.3f}s.jpg"
                kept.add(name)
                if waypoint is not None:
                    locations[name] = waypoint.location
                if not (folder / name).exists():
                    with replace_file(folder / name) as fresh:
                        frame.image().save(fresh, "JPEG", quality=QUALITY)
        if locations:
            write_locations(folder, locations)
        extraction = Extraction(folder, read, len(kept), blurred, unlocated, damaged())
        if kept:
            _write_record(folder, recording, key, every, extraction)
    except OSError as error:
        raise DacoError(f"No frames can be written to {folder}: {error.strerror or error}.") from error
    return extraction


def _write_record(folder: Path, recording: Path, key: str, every: Interval, done: Extraction | None) -> None:
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "recording": str(recording.resolve()),
        "every": str(every),
        "key": key,
        "complete": done is not None,
        "positions": LOCATIONS_FILE if (folder / LOCATIONS_FILE).exists() else None,
    }
    if done is not None:
        record["frames"] = {name: value for name, value in asdict(done).items() if name not in ("folder", "before")}
    write_text(folder / RECORD_FILE, json.dumps(record, indent=2) + "\n")
