"""Writes the generated twins of a data set's originals."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.errors import DacoError, NotFound, UsageError, reason_of
from daco_core.files import write_text
from daco_core.photographs.contact_sheet import contact_sheet, save_picture
from daco_core.photographs.images import list_images, open_rgb
from daco_core.photographs.layout import SPLITS, DataSet
from daco_core.threads import in_threads
from daco_training.translation.directions import target_of
from daco_training.translation.translator import TRANSLATORS, Translator, check_translator

RECORD_FILE = "translation.json"
SHEET_FILE = "contact_sheet.jpg"
SHEET_ROWS = 8  # photographs on a contact sheet


@dataclass(frozen=True)
class TranslationReport:
    """The number of twins made, the number that existed already, and the contact sheet."""

    made: int
    kept: int
    sheet: Path


def generate_twins(
    dataset: DataSet, method: str, seed: int = 0, split: str = "train", overwrite: bool = False
) -> TranslationReport:
    """Translates every original to the other domain; the twin has the original's path below `generated/`.

    Existing twins are kept, so that a run can be resumed; each file appears only when it is complete.
    `generated/contact_sheet.jpg` shows some originals next to their twins.

    Args:
        method: a name in `TRANSLATORS`.
        split: `train`, `val` or `all`; only training needs twins.
        overwrite: make all twins again, including those of another method.

    Raises:
        DacoError: there is no such method or split, there are no photographs, the method does not support this data
            set, or `generated/` contains twins of another method or seed.
    """
    check_translator(method)
    if split not in (*SPLITS, "all"):
        raise UsageError(f"There is no split {split!r}: choose train, val or all.")
    splits = SPLITS if split == "all" else (split,)
    originals = [image for domain in dataset.domains for part in splits for image in dataset.images(domain, part)]
    if not originals:
        raise NotFound(f"{dataset.folder / 'original'} contains no photographs in {' or '.join(splits)}.")
    translator = TRANSLATORS[method](dataset)
    _claim(dataset, {"method": method, "seed": seed, **translator.settings}, overwrite)
    missing = [image for image in originals if not dataset.twin(image).exists()]

    def make(image: Path) -> None:
        _write_twin(dataset, image, make_twin(dataset, translator, image, seed))

    for _ in in_threads(make, missing, f"{method} twins"):
        pass
    sheet = dataset.folder / "generated" / SHEET_FILE
    rows = [[open_rgb(image), open_rgb(dataset.twin(image))] for image in sample_photographs(dataset, splits)]
    save_picture(contact_sheet(rows, ["original", f"{method} twin"]), sheet)
    return TranslationReport(made=len(missing), kept=len(originals) - len(missing), sheet=sheet)


def refuse_other_twins(dataset: DataSet, method: str, learns: bool = False) -> None:
    """Fails before a method is trained for hours if `generated/` already contains other twins.

    To be called unless existing twins are overwritten.

    Args:
        learns: the method will be trained further first, so that its own earlier twins are outdated, too.

    Raises:
        DacoError: `generated/` contains other twins.
    """
    file = dataset.folder / "generated" / RECORD_FILE
    if not file.is_file():
        return
    try:
        existing = json.loads(file.read_text())["method"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DacoError(f"{file} is damaged ({reason_of(error)}): --overwrite makes all twins again.") from error
    if existing != method:
        raise UsageError(
            f"{file.parent} contains twins made by {existing}: --overwrite makes them again with {method}."
        )
    if learns:
        raise UsageError(
            f"{file.parent} contains twins of an earlier state of {method}: --overwrite trains it further and"
            " makes them again."
        )


def make_twin(dataset: DataSet, translator: Translator, image: Path, seed: int) -> Image.Image:
    """The twin of an original; depends only on the seed and the original's path."""
    relative = image.relative_to(dataset.folder / "original")
    name_hash = int.from_bytes(hashlib.sha256(relative.as_posix().encode()).digest()[:8], "big")
    return translator.translate(image, target_of(relative.parts[0]), np.random.default_rng([seed, name_hash]))


def sample_photographs(dataset: DataSet, splits: tuple[str, ...], count: int = SHEET_ROWS) -> list[Path]:
    """About `count` originals, the same number from each domain, evenly spread."""
    share = max(count // max(len(dataset.domains), 1), 1)
    chosen = []
    for domain in dataset.domains:
        images = [image for split in splits for image in dataset.images(domain, split)]
        chosen += images[:: max(len(images) // share, 1)][:share]
    return chosen


def _write_twin(dataset: DataSet, image: Path, twin: Image.Image) -> None:
    save_picture(twin, dataset.folder / "generated" / image.relative_to(dataset.folder / "original"))


def _claim(dataset: DataSet, record: dict[str, object], overwrite: bool) -> None:
    """Records the method in `generated/`. Fails if there are twins of another one, or with `overwrite` removes them."""
    folder = dataset.folder / "generated"
    file = folder / RECORD_FILE
    twins = [twin for split in SPLITS for domain in folder.glob("domain_*") for twin in list_images(domain / split)]
    try:
        if overwrite:
            # before the new record is written, so that an interrupted run leaves no old twins under it
            for twin in twins:
                twin.unlink()
        elif twins:
            existing = json.loads(file.read_text()) if file.is_file() else "an unknown method"
            if existing != record:
                raise UsageError(
                    f"{folder} contains twins made with {existing}, not {record}: --overwrite makes them again."
                )
        folder.mkdir(exist_ok=True)
        write_text(file, json.dumps(record) + "\n")
    except ValueError as error:
        raise DacoError(f"{file} is damaged ({error}): --overwrite makes all twins again.") from error
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {reason_of(error)}.") from error
