"""Converts the Tokyo 24/7 query set to pairs of the same view by day and by night.

Torii et al., "24/7 Place Recognition by View Synthesis", CVPR 2015: 1125 phone photographs of 125 places, each in 3
directions at 3 times of day. The download `247query_v3.zip` contains `00001.jpg` to `01125.jpg`, each with a CSV, and a
Readme. The CSV is not documented; public programs that read it agree on one line without a header: the photograph's
name, latitude and longitude (gmberton/VPR-datasets-downloader), and in the sixth cell D, S or N for day, sunset or
night (the densevlad port of the authors' evaluation). The other cells are not used.

Three consecutive numbers are one view at three times of day; users of the set take the first as day and the third as
night. Here the order is taken from the CSVs, else from the capture times in EXIF, else from brightness. If these
contradict each other, the command prints a doubt.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from PIL import ExifTags, Image, ImageStat

from daco_core.errors import DacoError, NotFound
from daco_core.photographs.distances import metres_between
from daco_core.photographs.images import UnreadableImage
from daco_core.photographs.layout import PUBLISHED_DOMAINS
from daco_core.photographs.locations import PLACE_METRES, PhotoLocation, parse_location
from daco_core.photographs.positions.exif import UNREADABLE, read_exif
from daco_core.threads import in_threads
from daco_training.datasets.prepare.placing import DownloadedPhotograph, Plan, some

PHOTOGRAPHS = 1125
TRAINING_PAIRS = 300  # the first ones, as published; the other 75 are for validation
TIMES = ("D", "S", "N")
NOON = 12.0
TOLERATED_CONTRADICTIONS = 37  # a tenth of the views: more than that is not a few slips, but another numbering


@dataclass(frozen=True)
class _Shot:
    """A photograph, with the evidence for its time of day: the CSV's letter, the clock, the brightness (0..255)."""

    path: Path
    location: PhotoLocation | None
    letter: str | None
    hour: float | None
    brightness: float

    @property
    def from_noon(self) -> float | None:
        """Hours between noon and the capture, around the clock."""
        return None if self.hour is None else abs(self.hour - NOON)


def plan_tokyo(archive: Path) -> Plan:
    """Plans the conversion: `day_00001.jpg` and `night_00001.jpg` to 00375, numbered like the views.

    Raises:
        DacoError: the photographs are missing, or one of them is damaged.
    """
    files = _find_photographs(archive)
    absent = [f"{number:05}.jpg" for number in range(1, PHOTOGRAPHS + 1) if number not in files]
    missing = [f"{len(absent)} of {PHOTOGRAPHS} photographs are missing: {some(absent)}."] if absent else []
    if absent and len(files) == 315:
        missing.append("315 photographs are the evaluation subset 247query_subset_v2; the set 247query_v3 is needed.")
    numbers = sorted(files)
    shots = dict(
        zip(numbers, in_threads(_read_shot, [files[number] for number in numbers], "times of day"), strict=True)
    )

    photographs: list[DownloadedPhotograph] = []
    doubts: list[str] = []
    reordered = contradicted = 0
    for view in range(1, PHOTOGRAPHS // len(TIMES) + 1):
        members = [shots[number] for number in range(3 * view - 2, 3 * view + 1) if number in shots]
        if not members:
            continue
        letters = [shot.letter for shot in members if shot.letter]
        contradicted += len(set(letters)) < len(letters)
        times = _times_of_day(members, doubts)
        if times is None:
            continue
        day, night = times
        reordered += len(members) == len(TIMES) and (members[0], members[-1]) != (day, night)
        split = "train" if view <= TRAINING_PAIRS else "val"
        photographs += [
            DownloadedPhotograph(shot.path, domain, split, f"{time}_{view:05}.jpg", _in_place(shot.location, view))
            for shot, domain, time in ((day, "domain_a", "day"), (night, "domain_b", "night"))
        ]
    if contradicted > TOLERATED_CONTRADICTIONS:
        raise DacoError(
            f"In {contradicted} views the CSVs of {archive} mark one time of day twice: its numbers are not three "
            "times of day in a row, so its photographs cannot be paired."
        )
    unplaced = sum(shot.location is None for shot in shots.values())
    if unplaced:
        doubts.append(f"{unplaced} photographs have no readable position.")
    if reordered:
        doubts.append(f"{reordered} views are not in the order day, sunset, night that users of the set assume.")
    names = dict(zip(("domain_a", "domain_b"), PUBLISHED_DOMAINS["tokyo"], strict=True))
    return Plan(photographs, names, missing, doubts, {"archive": "tokyo"})


def _find_photographs(archive: Path) -> dict[int, Path]:
    """Number to file, in the folder or in the only folder in it that contains them."""
    if not archive.is_dir():
        raise NotFound(f"{archive} is not a folder: give the folder that 247query_v3.zip was unpacked in.")
    for folder in (archive, *sorted(path for path in archive.iterdir() if path.is_dir())):
        found = {int(path.stem): path for path in folder.glob("*.jpg") if re.fullmatch(r"\d{5}", path.stem)}
        if found:
            return found
    raise NotFound(f"{archive} contains no photographs 00001.jpg and so on: give the folder 247query_v3.")


def _read_shot(path: Path) -> _Shot:
    location, letter = _read_csv(path.with_suffix(".csv"))
    try:
        with Image.open(path) as image:
            taken = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            image.draft("L", (128, 128))  # an eighth of the size suffices to tell light from dark
            brightness = ImageStat.Stat(image.convert("L")).mean[0]
    except UNREADABLE as error:
        raise UnreadableImage(path, error) from error
    return _Shot(path, location or read_exif(path), letter, _hour(taken), brightness)


def _read_csv(file: Path) -> tuple[PhotoLocation | None, str | None]:
    """Position and time-of-day letter; None for what the file does not contain."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            cells = [cell.strip() for cell in next(csv.reader(stream), [])]
    except FileNotFoundError:
        return None, None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DacoError(f"{file} cannot be read: {error}") from error
    letter = cells[5].upper() if len(cells) > 5 else None
    try:
        location = parse_location(dict(zip(("latitude", "longitude"), cells[1:3], strict=False)), str(file))
    except DacoError:
        location = None  # counted among the doubts
    return location, letter if letter in TIMES else None


def _hour(taken: object) -> float | None:
    try:
        moment = datetime.strptime(str(taken).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    return moment.hour + moment.minute / 60


def _times_of_day(members: Sequence[_Shot], doubts: list[str]) -> tuple[_Shot, _Shot] | None:
    """The day and the night photograph of one view, by the best evidence available; None without evidence.

    Adds contradictions in the evidence to `doubts`.
    """
    name = f"{members[0].path.stem} to {members[-1].path.stem}"
    letters = [shot.letter for shot in members]
    hours = [shot.from_noon for shot in members]
    if letters.count("D") == 1 and letters.count("N") == 1:
        day, night = members[letters.index("D")], members[letters.index("N")]
    elif len(members) < len(TIMES):
        doubts.append(f"{name}: left out, because a time of day is missing and the CSVs do not say which.")
        return None
    else:
        said = ", ".join(letter or "nothing" for letter in letters)
        known = [hour for hour in hours if hour is not None]
        by_clock = len(set(known)) == len(TIMES)
        ordered = sorted(members, key=lambda shot: (shot.from_noon or 0.0) if by_clock else -shot.brightness)
        day, night = ordered[0], ordered[-1]
        doubts.append(
            f"{name}: the CSVs contain {said}; ordered by {'capture time' if by_clock else 'brightness alone'}."
        )
    if night.brightness > day.brightness:
        doubts.append(f"{name}: {night.path.name} is taken to be night, but is brighter than {day.path.name}.")
    if day.from_noon is not None and night.from_noon is not None and day.from_noon > night.from_noon:
        doubts.append(f"{name}: {night.path.name} is taken to be night, but is nearer to noon than {day.path.name}.")
    apart = _metres_apart(day, night)
    if apart > PLACE_METRES:
        doubts.append(f"{name}: day and night are {apart:.0f} metres apart.")
    return day, night


def _metres_apart(one: _Shot, other: _Shot) -> float:
    if one.location is None or other.location is None:
        return 0.0
    return metres_between(one.location, other.location)


def _in_place(location: PhotoLocation | None, view: int) -> PhotoLocation | None:
    """The location with the view's name as its place, which day and night share."""
    if location is None:
        return None
    return replace(location, place=f"{view:05}")
