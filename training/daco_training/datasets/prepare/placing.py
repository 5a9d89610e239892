"""Writes photographs into the published layout: copied, linked or scaled down; each file appears only when complete."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from daco_core.errors import DacoError, NotFound, UsageError, reason_of
from daco_core.files import replace_file, write_text
from daco_core.photographs.images import list_images, open_rgb
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, SPLITS
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_core.threads import in_threads

RECORD_FILE = "prepared.json"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class DownloadedPhotograph:
    """One photograph of a download, and its destination: `original/DOMAIN/SPLIT/NAME`."""

    source: Path
    domain: str
    split: str
    name: str
    location: PhotoLocation | None = None


@dataclass(frozen=True)
class Plan:
    """The plan for converting a download.

    Args:
        domain_names: domain folder to the domain's name.
        missing: what the download lacks compared with the official one, a sentence each; the conversion stops unless
            the user accepts a partial one.
        doubts: what a person should check, a sentence each; the conversion does not stop.
        options: the options that affect the files' contents; files with different options never mix in one folder.
    """

    photographs: list[DownloadedPhotograph]
    domain_names: dict[str, str]
    missing: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def count(self, domain: str, split: str) -> int:
        return sum(1 for photograph in self.photographs if (photograph.domain, photograph.split) == (domain, split))


@dataclass(frozen=True)
class PlacingResult:
    """The number of photographs written now, and of those that existed already."""

    made: int
    kept: int


def place(plan: Plan, folder: Path, link: bool = False, size: int | None = None) -> PlacingResult:
    """Carries out a plan in a data set's folder; can be resumed.

    Args:
        folder: `data_root/name`.
        link: create hard links instead of copies, which need no space and outlive the download; same disk only.
        size: the shorter side, in pixels, to scale down to, upright; smaller photographs keep their size.

    Raises:
        DacoError: the plan is empty, the folder has photographs of another preparation, or a file cannot be written.
    """
    if link and size:
        raise UsageError("--size creates new files and --link creates none: choose one of them.")
    if not plan.photographs:
        raise NotFound("No photographs were found.")
    targets = {_target(folder, photograph): photograph for photograph in plan.photographs}
    if len(targets) < len(plan.photographs):
        raise DacoError(f"{len(plan.photographs) - len(targets)} photographs would overwrite others of the same name.")
    _refuse_strangers(folder, targets)
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        _claim(folder, plan.options | {"size": str(size or "as it is")})
        _write_json(folder / DOMAIN_NAMES_FILE, plan.domain_names)
        missing = [target for target in targets if not target.exists()]
        for _ in in_threads(lambda target: _make(targets[target].source, target, link, size), missing, "photographs"):
            pass
        for parent in sorted({target.parent for target in targets}):
            locations = {
                target.name: photograph.location
                for target, photograph in targets.items()
                if target.parent == parent and photograph.location is not None
            }
            if locations:
                write_locations(parent, locations)
    except OSError as error:
        raise DacoError(f"{error.filename or folder} cannot be written: {reason_of(error)}.") from error
    return PlacingResult(made=len(missing), kept=len(targets) - len(missing))


def _target(folder: Path, photograph: DownloadedPhotograph) -> Path:
    return folder / "original" / photograph.domain / photograph.split / photograph.name


def _refuse_strangers(folder: Path, targets: dict[Path, DownloadedPhotograph]) -> None:
    """Rejects photographs of another preparation: they would shift the order that pairs domains, or mix the splits."""
    domains = {photograph.domain for photograph in targets.values()}
    there = [
        image
        for domain in sorted({*domains, *(path.name for path in (folder / "original").glob("domain_*"))})
        for split in SPLITS
        for image in list_images(folder / "original" / domain / split)
    ]
    strangers = [image for image in there if image not in targets]
    if strangers:
        raise UsageError(
            f"{folder} contains {len(strangers)} photographs from elsewhere, for example {strangers[0]}: "
            "move them away, or choose another name."
        )


def _claim(folder: Path, options: dict[str, str]) -> None:
    """Records the options, and fails if existing photographs were made with others."""
    file = folder / RECORD_FILE
    if file.is_file():
        try:
            recorded = json.loads(file.read_text())
        except ValueError as error:
            raise DacoError(f"{file} is damaged ({error}): remove {folder} and prepare it again.") from error
        if recorded != options:
            differing = sorted(name for name in {*recorded, *options} if recorded.get(name) != options.get(name))
            changes = ", ".join(f"{name} was {recorded.get(name)}, now {options.get(name)}" for name in differing)
            raise UsageError(f"{folder} was prepared differently ({changes}): remove it, or choose another name.")
    _write_json(file, options)


def _write_json(file: Path, content: dict[str, str]) -> None:
    write_text(file, json.dumps(content, indent=2) + "\n")


def _make(source: Path, target: Path, link: bool, size: int | None) -> None:
    with replace_file(target) as fresh:
        if link:
            _link(source, fresh)
        elif size:
            _shrink(open_rgb(source), size).save(fresh, quality=JPEG_QUALITY)
        else:
            shutil.copyfile(source, fresh)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise UsageError(f"{source} cannot be linked to {target.parent} ({reason_of(error)}): use --copy.") from error


def _shrink(image: Image.Image, size: int) -> Image.Image:
    """The image, scaled so that its shorter side is at most `size` pixels."""
    scale = size / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def find_folder(archive: Path, name: str) -> Path:
    """The folder of that name in a download: the download itself, in it, or one level below.

    Raises:
        DacoError: there is none.
    """
    if not archive.is_dir():
        raise NotFound(f"{archive} is not a folder: give the folder that the download was unpacked in.")
    for found in (archive if archive.name == name else archive / name, *sorted(archive.glob(f"*/{name}"))):
        if found.is_dir():
            return found
    raise UsageError(f"{archive} contains no folder {name}: give the folder that the download was unpacked in.")


def some(names: Sequence[object], most: int = 3) -> str:
    """The first few of many, for a message: `a, b, c and 4 more`."""
    text = ", ".join(str(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
