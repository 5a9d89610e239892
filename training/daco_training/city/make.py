"""Makes the demo city: checks the settings, plans the photographs, and renders those that are missing."""

import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daco_core.errors import DacoError, MissingExtra, UsageError
from daco_core.files import write_text
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, SPLITS
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_core.threads import available_cores
from daco_training.city.drive import DriveFrame, street_drive
from daco_training.city.plan import SLOTS, CityPlace, geography, plan_places, plan_street
from daco_training.city.poses import CameraPose, depth_file, write_poses
from daco_training.city.rendering.conditions import DOMAINS
from daco_training.city.rendering.photograph import PlacePhotograph
from daco_training.city.rendering.pool import Job, disk_error, render_all
from daco_training.city.viewpoint import Viewpoint

FORMAT = 1  # of the pictures: increased with any change of the city's look, so that a folder never mixes two looks
SETTINGS_FILE = "city.json"
VIEWPOINT_FOLDER = "viewpoint"
DRIVE_FOLDER = "drive"
MIN_SIZE, MAX_SIZE = 64, 4096
ASPECT = 4 / 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"
USUAL_DOMAINS = ("day", "night", "fog")

Photograph = PlacePhotograph | DriveFrame
OrderedJob = tuple[tuple[int, int, int], Job]
"""An image to render, with its street, domain and number there: workers load each street once."""


@dataclass(frozen=True)
class CityReport:
    """The result of a run of `make_city`. Seconds are elapsed time; `seconds_per_image` is 0 if nothing was rendered.

    A photograph that existed and only lacked its depth map counts as rendered.
    """

    images_rendered: int
    images_present: int
    seconds: float
    seconds_per_image: float
    train_places: int
    val_places: int


@dataclass(frozen=True)
class CitySettings:
    """The settings that a city is made with, stored in its folder.

    Args:
        format: that of the pictures.
        places: how many places, 2 or more; those for validation are in streets of their own.
        size: the images' shorter side in pixels; they are 4:3 landscape.
        seed: which city, 0 or more.
        domains: of `DOMAINS`, such as "day", "night", "fog"; the first becomes `domain_a`, the next `domain_b`.
        val_places: how many of the places are for validation; None: every fourth.
    """

    format: int = FORMAT
    places: int = 200
    size: int = 256
    seed: int = 0
    domains: tuple[str, ...] = USUAL_DOMAINS
    val_places: int | None = None

    @property
    def split_sizes(self) -> dict[str, int]:
        """Split to its number of places."""
        plan = plan_places(self.places, self.val_places)
        return {split: sum(place.split == split for place in plan) for split in SPLITS}


@dataclass(frozen=True)
class CityExtras:
    """What is rendered of a city besides a photograph of each place in each domain.

    Args:
        viewpoints: further camera poses of each place, in all domains: `viewpoint/5m_30deg/domain_a/val/*.jpg`.
        viewpoint_splits: of "train" and "val", those whose places are also rendered from the viewpoints.
        depth: whether to write a depth map of every photograph: `depth/original/domain_a/val/*.npz`.
        drive: along how many of the first streets a drive is rendered, in all domains: `drive/night/*.jpg`.
    """

    viewpoints: tuple[Viewpoint, ...] = ()
    viewpoint_splits: tuple[str, ...] = SPLITS
    depth: bool = False
    drive: int = 0


NO_EXTRAS = CityExtras()


def make_city(folder: Path, settings: CitySettings, extras: CityExtras = NO_EXTRAS, workers: int = 0) -> CityReport:
    """Renders the demo city into `folder`, or what is missing of it.

    The pictures depend on `seed` and `size` only, not on `workers`, the order, or interruptions. A city can be extended
    later (more `places`, further `domains` at the end, extras) and keeps its images.

    Args:
        folder: `data_root/demo`; receives `original/domain_a/{train,val}/*.jpg` and so on, with `locations.csv` and
            `poses.json` beside them, and `domains.json`.
        workers: processes; 0 for one a core.

    Raises:
        DacoError: a setting is invalid, Mitsuba is not installed, the folder contains another city, or the disk fails.
        KeyboardInterrupt: interrupted by Ctrl-C; all images on disk are complete, and the same call resumes.
    """
    _check(settings, extras, workers)
    plan = plan_places(settings.places, settings.val_places)
    try:
        jobs = _prepare(folder, settings, plan, extras)
    except OSError as error:
        raise disk_error(error, folder) from error
    missing = [job for job in jobs if job.missing]
    start = time.monotonic()
    if missing:
        count = min(workers or available_cores(), len(missing))
        try:
            render_all(missing, len(jobs), count)
        except KeyboardInterrupt:
            print("Stopped; the finished images are kept. Run the same command again to resume.", file=sys.stderr)
            raise
    seconds = time.monotonic() - start
    return CityReport(
        images_rendered=len(missing),
        images_present=len(jobs) - len(missing),
        seconds=seconds,
        seconds_per_image=seconds / len(missing) if missing else 0.0,
        train_places=sum(place.split == "train" for place in plan),
        val_places=sum(place.split == "val" for place in plan),
    )


def image_size(size: int) -> tuple[int, int]:
    """Width and height in pixels of an image whose shorter side is `size`."""
    return round(size * ASPECT), size


def _check(settings: CitySettings, extras: CityExtras, workers: int) -> None:
    if settings.places < 2:
        raise UsageError(f"A city needs 2 places or more, one to train on and one to validate; got {settings.places}.")
    if settings.val_places is not None and not 1 <= settings.val_places < settings.places:
        raise UsageError(
            f"Of {settings.places} places, 1 to {settings.places - 1} can be for validation; got {settings.val_places}."
        )
    if not MIN_SIZE <= settings.size <= MAX_SIZE:
        raise UsageError(f"The image size must be between {MIN_SIZE} and {MAX_SIZE} pixels; got {settings.size}.")
    if settings.seed < 0:
        raise UsageError(f"The seed must be 0 or more; got {settings.seed}.")
    if workers < 0:
        raise UsageError(f"The number of workers must be 0 (one per core) or more; got {workers}.")
    if not settings.domains:
        raise UsageError(f"Name at least one domain of {', '.join(DOMAINS)}.")
    for domain in settings.domains:
        if domain not in DOMAINS:
            raise UsageError(f"There is no domain {domain!r} in the demo city; choose from {', '.join(DOMAINS)}.")
    if len(set(settings.domains)) < len(settings.domains):
        raise UsageError(f"A domain is named twice: {', '.join(settings.domains)}.")
    if unknown := sorted({*extras.viewpoint_splits} - {*SPLITS}):
        raise UsageError(f"There is no split {unknown[0]!r}; choose from {', '.join(SPLITS)}.")
    if importlib.util.find_spec("mitsuba") is None:
        raise MissingExtra(
            "The demo city is rendered with Mitsuba, which is not installed: pip install 'daco-serve[demo]'"
        )


def _prepare(folder: Path, settings: CitySettings, plan: list[CityPlace], extras: CityExtras) -> list[Job]:
    """Writes everything that is known before rendering, and returns the images in the best order for the workers."""
    _claim(folder, settings)
    folders = {domain: f"domain_{letter}" for letter, domain in zip(LETTERS, settings.domains, strict=False)}
    _write(folder / DOMAIN_NAMES_FILE, {name: domain for domain, name in folders.items()})
    jobs: list[OrderedJob] = []
    viewpoints = {f"{VIEWPOINT_FOLDER}/{viewpoint.name}": viewpoint for viewpoint in extras.viewpoints}
    for kind, viewpoint in {"original": None, **viewpoints}.items():
        for domain, name in folders.items():
            for split in extras.viewpoint_splits if viewpoint else SPLITS:
                places = [place for place in plan if place.split == split]
                taken = [PlacePhotograph(settings.seed, place, domain, viewpoint) for place in places]
                jobs += _prepare_folder(folder / kind / name / split, settings, taken, folder if extras.depth else None)
    for domain in settings.domains if extras.drive else ():
        frames = [frame for street in range(extras.drive) for frame in street_drive(settings.seed, street, domain)]
        jobs += _prepare_folder(folder / DRIVE_FOLDER / domain, settings, frames)
    return [job for _, job in sorted(jobs, key=lambda one: one[0])]


def _prepare_folder(
    target: Path, settings: CitySettings, photographs: Sequence[Photograph], depth_of: Path | None = None
) -> list[OrderedJob]:
    """Prepares the folder `target` for photographs, with depth maps if the folder of their city is given."""
    target.mkdir(parents=True, exist_ok=True)
    files = {f"{one.name}.jpg": one for one in photographs}
    write_locations(target, {file: _location(one) for file, one in files.items()})
    write_poses(target, {file: _camera(one) for file, one in files.items()})
    width, height = image_size(settings.size)
    return [
        (
            (one.street, settings.domains.index(one.domain), _number(one)),
            Job(one, target / file, depth_file(depth_of, target / file) if depth_of else None, width, height),
        )
        for file, one in files.items()
    ]


def _number(photograph: Photograph) -> int:
    """The number of a photograph in its street; frames of a drive come after the places."""
    return photograph.place.slot if isinstance(photograph, PlacePhotograph) else SLOTS + photograph.number


def _location(photograph: Photograph) -> PhotoLocation:
    street = plan_street(photograph.seed, photograph.street)
    latitude, longitude, heading = geography(street, photograph.pose)
    return PhotoLocation(latitude, longitude, heading, photograph.name)


def _camera(photograph: Photograph) -> CameraPose:
    return CameraPose.in_street(plan_street(photograph.seed, photograph.street), photograph.pose)


def read_settings(folder: Path) -> CitySettings | None:
    """The settings that a city in a folder was made with; None if there is no city.

    Raises:
        DacoError: their record is damaged.
    """
    record = folder / SETTINGS_FILE
    if not record.exists():
        return None
    try:
        found = json.loads(record.read_text())
        return CitySettings(**{**found, "domains": tuple(found["domains"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DacoError(f"{record} is damaged: remove {folder} and render the city again.") from error


def _claim(folder: Path, settings: CitySettings) -> None:
    """Stores the settings in the folder; rejects a folder whose images were made with other settings."""
    old = read_settings(folder)
    if old is not None:
        differences = [
            f"{name} {getattr(old, name)} instead of {getattr(settings, name)}"
            for name in ("format", "size", "seed")
            if getattr(old, name) != getattr(settings, name)
        ]
        was_split, now_split = old.split_sizes, settings.split_sizes
        if any(was_split[split] > now_split[split] for split in SPLITS):
            was = f"{was_split['train']} places for training and {was_split['val']} for validation"
            now = f"{now_split['train']} and {now_split['val']}"
            differences.append(f"{was} instead of {now}, and a city can only grow")
        if settings.domains[: len(old.domains)] != old.domains:
            was, now = ",".join(old.domains), ",".join(settings.domains)
            differences.append(f"domains {was} instead of {now}, and further ones can only be appended")
        if differences:
            raise UsageError(
                f"{folder} contains a city with {'; '.join(differences)}: "
                "use its settings, another folder, or remove it first."
            )
    elif (folder / "original").exists():
        raise UsageError(f"{folder} contains images that are not a demo city: use another folder, or remove it first.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / SETTINGS_FILE, asdict(settings))


def _write(file: Path, content: dict[str, Any]) -> None:
    write_text(file, json.dumps(content, indent=2) + "\n")
