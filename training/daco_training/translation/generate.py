"""Fills `generated/` with the twins of a data set's originals."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.errors import DacoError, NotFound, UsageError
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
    """What a run did: how many twins it made, how many were there already, and the picture of some of them."""

    made: int
    kept: int
    sheet: Path


def generate_twins(
    dataset: DataSet, method: str, seed: int = 0, split: str = "train", overwrite: bool = False
) -> TranslationReport:
    """Translates every original to the other domain, into `generated/` under the original's own path.

    Existing twins are kept, so that a run can be resumed; each file appears only when it is complete.
    `generated/contact_sheet.jpg` shows some originals beside their twins.

    Args:
        method: a name in `TRANSLATORS`.
        split: `train`, `val` or `all`; only training needs twins.
        overwrite: makes all twins again, including those of another method.

    Raises:
        DacoError: no such method or split, no photographs, the method cannot work on this data set, or `generated/`
            holds twins of another method or seed.
    """
    check_translator(method)
    if split not in (*SPLITS, "all"):
        raise UsageError(f"No split {split!r}: choose train, val or all.")
    splits = SPLITS if split == "all" else (split,)
    originals = [image for domain in dataset.domains for part in splits for image in dataset.images(domain, part)]
    if not originals:
        raise NotFound(f"{dataset.folder / 'original'} holds no photographs in {' or '.join(splits)}.")
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
    """Says before a method is trained for hours that its twins would find no place; for where none are overwritten.

    Args:
        learns: the method is trained further first, so that its own twins will be others, too.

    Raises:
        DacoError: `generated/` holds other twins.
    """
    file = dataset.folder / "generated" / RECORD_FILE
    if not file.is_file():
        return
    try:
        existing = json.loads(file.read_text())["method"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DacoError(f"{file} is damaged ({error}): --overwrite makes all twins again.") from error
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
    """The twin of an original, a function of the seed and of the original's path alone."""
    relative = image.relative_to(dataset.folder / "original")
    name_hash = int.from_bytes(hashlib.sha256(relative.as_posix().encode()).digest()[:8], "big")
    return translator.translate(image, target_of(relative.parts[0]), np.random.default_rng([seed, name_hash]))


def sample_photographs(dataset: DataSet, splits: tuple[str, ...], count: int = SHEET_ROWS) -> list[Path]:
    """About `count` originals, as many of each domain, evenly through its list."""
    share = max(count // max(len(dataset.domains), 1), 1)
    chosen = []
    for domain in dataset.domains:
        images = [image for split in splits for image in dataset.images(domain, split)]
        chosen += images[:: max(len(images) // share, 1)][:share]
    return chosen


def _write_twin(dataset: DataSet, image: Path, twin: Image.Image) -> None:
    save_picture(twin, dataset.folder / "generated" / image.relative_to(dataset.folder / "original"))


def _claim(dataset: DataSet, record: dict[str, object], overwrite: bool) -> None:
    """Makes `generated/` this record's: refuses to mix twins of two methods, or with `overwrite` takes them away."""
    folder = dataset.folder / "generated"
    file = folder / RECORD_FILE
    twins = [twin for split in SPLITS for domain in folder.glob("domain_*") for twin in list_images(domain / split)]
    try:
        if overwrite:
            # before the new record, so that a run that is stopped here leaves no old twin under it
            for twin in twins:
                twin.unlink()
        elif twins:
            existing = json.loads(file.read_text()) if file.is_file() else "a method that left no record"
            if existing != record:
                raise UsageError(
                    f"{folder} contains twins made with {existing}, not {record}: --overwrite makes them again."
                )
        folder.mkdir(exist_ok=True)
        write_text(file, json.dumps(record) + "\n")
    except ValueError as error:
        raise DacoError(f"{file} is damaged ({error}): --overwrite makes all twins again.") from error
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {error}") from error
