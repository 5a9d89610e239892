"""The photographs of the comparison, and the twins for daco: a rendered city, or an existing data set."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daco_bench.reproduction.conditions import RENDERED, Conditions
from daco_core.errors import DacoError, UsageError
from daco_core.files import replace_file, write_text
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, SPLITS, DataSet
from daco_core.photographs.pairing import pair_keys
from daco_training.translation.cut.checkpoint import model_folder
from daco_training.translation.generate import generate_twins
from daco_training.translation.translator import check_translator

CUT = "cut"  # twins by a translator that is trained first
SHARED = ("original", DOMAIN_NAMES_FILE, "depth", "translation")  # what all copies of a data set share
TWIN_SEED = 0
CITY_SEED = 0
CUT_CROP = 64  # pixels: photographs of 96 and 128 pixels are too small for the translator's usual crops


@dataclass(frozen=True)
class City:
    """The size of the rendered city, and where it is stored.

    Args:
        folder: receives a folder for each condition, shared by all comparisons and by cities of any number of places.
        places: number of places, including those for validation.
        val_places: number of places for validation, in other streets.
        size: shorter side of a photograph, in pixels.
        workers: processes that render; 0 for one a core.
    """

    folder: Path
    places: int
    val_places: int
    size: int
    workers: int = 0

    def photographs(self) -> dict[str, list[str]]:
        """For each split, the names of its photographs, which are the same in every condition."""
        from daco_training.city.plan import plan_places

        plan = plan_places(self.places, self.val_places)
        return {split: [f"{place.name}.jpg" for place in plan if place.split == split] for split in SPLITS}

    def missing(self, condition: str) -> int:
        """The number of photographs of a condition that are not rendered yet."""
        original = self.folder / condition / "original" / "domain_a"
        return sum(
            not (original / split / name).exists() for split, names in self.photographs().items() for name in names
        )


def make_city_data(city: City, conditions: Conditions, folder: Path) -> DataSet:
    """The rendered city in two conditions as a data set in `folder`; photographs that exist are kept.

    A complete data set no longer needs the folders of the city.

    Raises:
        DacoError: the folders hold another city, or Mitsuba is not installed.
    """
    target = folder / conditions.name
    names = city.photographs()
    for letter, condition in zip("ab", (conditions.first, conditions.second), strict=True):
        original = target / "original" / f"domain_{letter}"
        try:
            missing = {split: _missing_copies(original / split, names[split]) for split in SPLITS}
            if any(missing.values()):
                _render(city, condition)
            for split, lacking in missing.items():
                for name in lacking:
                    source = city.folder / condition / "original" / "domain_a" / split / name
                    _link_or_copy(source, original / split / name)
        except OSError as error:
            raise DacoError(f"{original} cannot be written: {error}") from error
    domains = {"domain_a": conditions.first, "domain_b": conditions.second}
    write_text(target / DOMAIN_NAMES_FILE, json.dumps(domains) + "\n")
    return DataSet(folder, conditions.name)


def make_twins(dataset: DataSet, kind: str, folder: Path, cut_iters: int = 0, device: str = "auto") -> DataSet:
    """A copy of the data set in `folder`, made of links, with twins of one kind; existing twins are kept.

    Args:
        kind: a translator, or `rendered`. `cut` is trained first, in the data set's own folder; twins that were brought
            from another machine, without the trained networks, are used unchanged.
        cut_iters: training steps of `cut`, in each direction.
        device: trains `cut`.

    Raises:
        DacoError: there is no such kind, it cannot work on this data set, or `folder` holds another data set.
        KeyboardInterrupt: the training of `cut` was stopped; the same call resumes it.
    """
    if kind != RENDERED:
        check_translator(kind)
    carried = kind == CUT and not model_folder(dataset).exists() and _has_twins(dataset, folder)
    if kind == CUT and not carried:
        train_translator(dataset, cut_iters, device)
    copy = link_data_set(dataset, folder)
    if carried:
        return copy
    if kind == RENDERED:
        _take_partners(copy)
    else:
        generate_twins(copy, kind, TWIN_SEED)
    return copy


def train_translator(dataset: DataSet, iters: int, device: str = "auto") -> None:
    """Trains `cut` on a data set's training photographs, unless it is trained already; resumes a stopped training.

    Raises:
        DacoError: there are models of other settings, or no such device.
        KeyboardInterrupt: it was stopped.
    """
    from daco_training.translation.cut.train import CutSettings, is_trained, train_cut

    settings = CutSettings(iterations=iters, image_size=CUT_CROP)
    if not is_trained(dataset, settings):
        train_cut(dataset, settings, device)


def link_data_set(dataset: DataSet, folder: Path) -> DataSet:
    """Links the data set into `folder` by relative links, so that both can be moved together.

    Raises:
        DacoError: `folder` contains links to another data set, or cannot be written.
    """
    target = folder / dataset.name
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            source, link = (dataset.folder / name).resolve(), target / name
            if os.path.lexists(link) and link.resolve() != source:
                raise UsageError(f"{link} belongs to the data set in {link.resolve().parent}: choose another folder.")
            if source.exists() and not os.path.lexists(link):
                link.symlink_to(os.path.relpath(source, target.resolve()))
    except OSError as error:
        raise DacoError(f"{target} cannot be created: {error}") from error
    return DataSet(folder, dataset.name)


def _has_twins(dataset: DataSet, folder: Path) -> bool:
    """Whether `folder` holds a twin of every training photograph of the data set."""
    generated = folder / dataset.name / "generated"
    return all(
        (generated / domain / "train" / image.name).is_file()
        for domain in dataset.domains
        for image in dataset.images(domain, "train")
    )


def _missing_copies(folder: Path, names: Sequence[str]) -> list[str]:
    """The names that are missing in a folder; rejects a folder with other names."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {file.name for file in folder.iterdir()}
    if found - {*names}:
        raise UsageError(f"{folder} contains photographs of another number of places: give another --out.")
    return [name for name in names if name not in found]


def _render(city: City, condition: str) -> None:
    """Renders the missing photographs of a condition; the city is never made smaller than it is in the folder."""
    from daco_training.city.make import CitySettings, make_city, read_settings

    if not city.missing(condition):
        return
    folder = city.folder / condition
    wanted = {split: len(names) for split, names in city.photographs().items()}
    if (before := read_settings(folder)) is not None:
        wanted = {split: max(count, before.split_sizes[split]) for split, count in wanted.items()}
    settings = CitySettings(
        places=sum(wanted.values()),
        size=city.size,
        seed=CITY_SEED,
        domains=(condition,),
        val_places=wanted["val"],
    )
    make_city(folder, settings, workers=city.workers)


def _link_or_copy(source: Path, target: Path) -> None:
    """Hard links a file, or copies it if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with replace_file(target) as fresh:
            shutil.copyfile(source, fresh)


def _take_partners(dataset: DataSet) -> None:
    """Copies each training photograph of the first two domains as the twin of its partner in the other domain."""
    domains = dataset.domains
    if len(domains) != 2:
        raise UsageError(f"Rendered twins need two domains; {dataset.folder} has {len(domains)}.")
    here, there = domains
    names = {domain: pair_keys(image.name for image in dataset.images(domain, "train")) for domain in (here, there)}
    if names[here].keys() != names[there].keys():
        raise UsageError(
            f"Rendered twins need pairs: the training photographs of {dataset.folder} have no common names."
        )
    for domain, partner in ((here, there), (there, here)):
        folder = dataset.split_folder(domain, "train", "generated")
        folder.mkdir(parents=True, exist_ok=True)
        for key, name in names[domain].items():
            if not (folder / name).exists():
                with replace_file(folder / name) as fresh:
                    shutil.copyfile(dataset.split_folder(partner, "train") / names[partner][key], fresh)
