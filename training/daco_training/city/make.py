"""Renders the demo city with a pool of workers, with progress; it can be stopped and resumed."""

import importlib.util
import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from daco_core.errors import DacoError, MissingExtra, UsageError
from daco_core.files import write_bytes, write_text
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, SPLITS
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_core.threads import available_cores
from daco_training.city.plan import CityPlace, geography, photograph_pose, plan_places, plan_street
from daco_training.city.rendering.photograph import DOMAINS, take_photograph

FORMAT = 1  # of the pictures: a change to how the city looks counts this up, so that two looks never mix in a folder
SETTINGS_FILE = "city.json"
MIN_SIZE, MAX_SIZE = 64, 4096
ASPECT = 4 / 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class CityReport:
    """What a run of `make_city` did. Seconds are of wall time; `seconds_per_image` is 0 when nothing was rendered."""

    images_rendered: int
    images_present: int
    seconds: float
    seconds_per_image: float
    train_places: int
    val_places: int


@dataclass(frozen=True)
class _Settings:
    format: int
    places: int
    size: int
    seed: int
    domains: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    file: Path
    seed: int
    place: CityPlace
    domain: str
    width: int
    height: int


def make_city(
    folder: Path,
    places: int = 200,
    size: int = 256,
    seed: int = 0,
    domains: Sequence[str] = DOMAINS,
    workers: int = 0,
) -> CityReport:
    """Render the demo city into `folder`, or what is missing of it.

    The pictures are a function of `seed` and `size` alone: not of `workers`, of the order, or of a stop in between.
    A city can be made larger later (more `places`, further `domains` at the end) and keeps the images it has.

    Args:
        folder: `data_root/demo`; receives `original/domain_a/{train,val}/*.jpg` and so on, and `domains.json`.
        places: how many places, 2 or more; every fourth is for validation, in streets of its own.
        size: the images' shorter side in pixels; they are 4:3 landscape.
        seed: which city, 0 or more.
        domains: of "day", "night", "fog"; the first becomes `domain_a`, the next `domain_b`.
        workers: processes; 0 for one a core.

    Raises:
        DacoError: a setting is out of range, Mitsuba is not installed, the folder holds another city, the disk fails.
        KeyboardInterrupt: stopped by Ctrl-C; all images on disk are complete, and the same call resumes.
    """
    settings = _Settings(FORMAT, places, size, seed, tuple(domains))
    _check(settings, workers)
    plan = plan_places(places)
    try:
        jobs = _prepare(Path(folder), settings, plan)
    except OSError as error:
        raise _disk_error(error, Path(folder)) from error
    missing = [job for job in jobs if not job.file.exists()]
    start = time.monotonic()
    if missing:
        count = min(workers or available_cores(), len(missing))
        try:
            _render_all(missing, len(jobs), count)
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


def _check(settings: _Settings, workers: int) -> None:
    if settings.places < 2:
        raise UsageError(f"A city needs 2 places or more, one to train on and one to validate; got {settings.places}.")
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
    if importlib.util.find_spec("mitsuba") is None:
        raise MissingExtra(
            "The demo city is rendered with Mitsuba, which is not installed: pip install 'daco-serve[demo]'"
        )


def _prepare(folder: Path, settings: _Settings, plan: list[CityPlace]) -> list[_Job]:
    """Write all that is known before rendering, and list every image in the order that suits the workers."""
    _claim(folder, settings)
    folders = {domain: f"domain_{letter}" for letter, domain in zip(LETTERS, settings.domains, strict=False)}
    _write(folder / DOMAIN_NAMES_FILE, {name: domain for domain, name in folders.items()})
    width, height = image_size(settings.size)
    jobs = []
    for domain, name in folders.items():
        for split in SPLITS:
            target = folder / "original" / name / split
            target.mkdir(parents=True, exist_ok=True)
            locations = {}
            for place in plan:
                if place.split == split:
                    file = target / f"{place.name}.jpg"
                    jobs.append(_Job(file, settings.seed, place, domain, width, height))
                    locations[file.name] = _location(settings.seed, place, domain)
            write_locations(target, locations)
    return sorted(jobs, key=lambda job: (job.place.street, settings.domains.index(job.domain), job.place.slot))


def _location(seed: int, place: CityPlace, domain: str) -> PhotoLocation:
    pose = photograph_pose(seed, place, domain)
    latitude, longitude, heading = geography(plan_street(seed, place.street), pose)
    return PhotoLocation(latitude, longitude, heading, place.name)


def _claim(folder: Path, settings: _Settings) -> None:
    """Note the settings in the folder, or refuse one whose images were made with others."""
    record = folder / SETTINGS_FILE
    if record.exists():
        try:
            found = json.loads(record.read_text())
            old = _Settings(**{**found, "domains": tuple(found["domains"])})
        except (ValueError, TypeError, KeyError) as error:
            raise DacoError(f"{record} is damaged: remove {folder} and render the city again.") from error
        differences = [
            f"{name} {getattr(old, name)} instead of {getattr(settings, name)}"
            for name in ("format", "size", "seed")
            if getattr(old, name) != getattr(settings, name)
        ]
        if old.places > settings.places:
            differences.append(f"places {old.places} instead of {settings.places}, and a city can only grow")
        if settings.domains[: len(old.domains)] != old.domains:
            was, now = ",".join(old.domains), ",".join(settings.domains)
            differences.append(f"domains {was} instead of {now}, and further ones can only follow those")
        if differences:
            raise UsageError(
                f"{folder} holds a city with {'; '.join(differences)}: "
                "use its settings, another folder, or remove it first."
            )
    elif (folder / "original").exists():
        raise UsageError(f"{folder} holds images that are not a demo city: use another folder, or remove it first.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(record, asdict(settings))


def _write(file: Path, content: dict[str, Any]) -> None:
    write_text(file, json.dumps(content, indent=2) + "\n")


def _disk_error(error: OSError, path: Path) -> DacoError:
    where = error.filename or path
    return DacoError(f"Cannot write {where}: {error.strerror}; put that right and run the same command again.")


def _render_all(jobs: list[_Job], total: int, workers: int) -> None:
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        with _interrupts_held():
            futures: list[Future[None]] = [pool.submit(_make_image, job) for job in jobs]
        with tqdm(total=total, initial=total - len(jobs), unit="image", desc="demo city") as bar:
            for future in as_completed(futures):
                future.result()
                bar.update()
    except BrokenProcessPool as error:
        raise DacoError(
            "A worker process was killed, perhaps because memory was full: "
            "run the same command again to resume, with fewer workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that never hear Ctrl-C: they inherit the held signal, while the parent gets it a moment later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Ignore Ctrl-C, which the parent answers, and end when the parent is gone, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_image(job: _Job) -> None:
    """Take a photograph and write it atomically."""
    pixels = take_photograph(job.seed, job.place, job.domain, job.width, job.height)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "jpeg", quality=95, subsampling=0)
    try:
        write_bytes(job.file, encoded.getvalue())
    except OSError as error:
        raise _disk_error(error, job.file) from error
