"""The photographs of the comparison, and daco's twins: a rendered city, or a data set that is there."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import DacoError, UsageError
from daco_core.files import replace_file
from daco_core.photographs.layout import DOMAIN_NAMES_FILE, DataSet
from daco_core.photographs.pairing import pair_keys
from daco_training.translation.generate import generate_twins
from daco_training.translation.translator import check_translator

CITY = "city"
RENDERED = "rendered"  # twins: the other domain's photograph of the same place, as a perfect translator would make it
SHARED = ("original", DOMAIN_NAMES_FILE, "depth", "translation")  # what all copies of a data set share
TWIN_SEED = 0


def make_city_data(
    folder: Path, places: int, size: int, seed: int = 0, domains: Sequence[str] = ("day", "night")
) -> DataSet:
    """The rendered city as a data set in `folder`; what is rendered already is kept.

    Raises:
        DacoError: the folder holds another city, or Mitsuba is not installed.
    """
    from daco_training.city import make_city

    make_city(folder / CITY, places, size, seed, domains)
    return DataSet(folder, CITY)


def make_twins(dataset: DataSet, kind: str, folder: Path) -> DataSet:
    """A copy of the data set, by links, in `folder` with twins of one kind; twins that are there are kept.

    Args:
        kind: a translator, or `rendered`.

    Raises:
        DacoError: there is no such kind, it cannot work on this data set, or `folder` holds another data set.
    """
    if kind != RENDERED:
        check_translator(kind)
    copy = link_data_set(dataset, folder)
    if kind == RENDERED:
        _take_partners(copy)
    else:
        generate_twins(copy, kind, TWIN_SEED)
    return copy


def link_data_set(dataset: DataSet, folder: Path) -> DataSet:
    """The data set below `folder` by relative links, so that both can be moved together.

    Raises:
        DacoError: `folder` holds links to another data set, or cannot be written.
    """
    target = folder / dataset.name
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            source, link = (dataset.folder / name).resolve(), target / name
            if os.path.lexists(link) and link.resolve() != source:
                raise UsageError(f"{link} is of the data set in {link.resolve().parent}: choose another folder.")
            if source.exists() and not os.path.lexists(link):
                link.symlink_to(os.path.relpath(source, target.resolve()))
    except OSError as error:
        raise DacoError(f"{target} cannot be made: {error}") from error
    return DataSet(folder, dataset.name)


def _take_partners(dataset: DataSet) -> None:
    """Copies each training photograph of the first two domains as the twin of its partner in the other one."""
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
