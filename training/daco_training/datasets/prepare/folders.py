"""Converts a user's own folders of photographs, one for each domain, to the published layout; pairs are optional."""

from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.formats import left_out_sentence
from daco_core.photographs.images import list_below
from daco_core.photographs.layout import SPLITS
from daco_core.photographs.pairing import pair_keys
from daco_core.photographs.positions import locate
from daco_training.datasets.prepare.placing import DownloadedPhotograph, Plan, some

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def plan_folders(folders: Sequence[Path], names: Sequence[str], validation: float = 0.2) -> Plan:
    """Plans the conversion of one folder per domain, including subfolders: `north/1.jpg` becomes `north_1.jpg`.

    If a folder contains `train/` and `val/`, those are its splits. Otherwise the last photographs, sorted by name, are
    for validation; in folders of pairs (`pair_keys`), the same pairs. If names differ, the folders are unpaired.

    Args:
        names: the names of the domains: `day`, `night`.
        validation: the share of photographs for validation, from 0 to below 1.

    Raises:
        DacoError: the folders do not match the names, one has no photographs, or two files would get the same name.
    """
    if len(folders) != len(names) or len(set(names)) < len(names) or not all(names):
        raise UsageError(f"{len(folders)} folders need {len(folders)} different names, such as --domains day,night.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("A folder is given twice: give one folder for each domain.")
    if not 0 <= validation < 1:
        raise UsageError(f"--val must be a share from 0 to below 1, not {validation}.")
    photographs: list[DownloadedPhotograph] = []
    listed: list[dict[str, set[str]]] = []
    for letter, folder in zip(LETTERS, folders, strict=False):
        splits = _splits(folder, validation)
        listed.append({split: set(pair_keys(files)) for split, files in splits.items()})
        locations = locate(folder, [path for files in splits.values() for path in files.values()])
        photographs += [
            DownloadedPhotograph(path, f"domain_{letter}", split, name, locations.get(path))
            for split, files in splits.items()
            for name, path in files.items()
        ]
    doubts = []
    for folder in folders:
        if others := list_below(folder).left_out:
            doubts.append(f"{folder}: {left_out_sentence(others)}.")
    for name, splits_of in zip(names[1:], listed[1:], strict=True):
        for split in SPLITS:
            alone = sorted(listed[0][split] ^ splits_of[split])
            if alone:
                doubts.append(
                    f"{split}: {names[0]} and {name} are not pairs, {len(alone)} names differ: {some(alone)}."
                )
    domain_names = {f"domain_{letter}": name for letter, name in zip(LETTERS, names, strict=False)}
    # the options record which folder is which domain, so that photographs of one never stay under another's name
    sources = {f"domain_{letter}": str(folder.resolve()) for letter, folder in zip(LETTERS, folders, strict=False)}
    options = {"archive": "folders", "val": str(validation), **sources}
    return Plan(photographs, domain_names, doubts=doubts, options=options)


def _splits(folder: Path, validation: float) -> dict[str, dict[str, Path]]:
    """Split to the photographs by their file name in the layout."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder of photographs.")
    if all((folder / split).is_dir() for split in SPLITS):
        return {split: _flat(folder / split) for split in SPLITS}
    files = _flat(folder)
    names = sorted(files)
    first = len(names) - round(len(names) * validation)
    return {
        "train": {name: files[name] for name in names[:first]},
        "val": {name: files[name] for name in names[first:]},
    }


def _flat(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    contents = list_below(folder)
    for path in contents.images:
        name = "_".join(path.relative_to(folder).parts)
        if name in files:
            raise UsageError(f"{files[name]} and {path} would both be named {name}: rename one of them.")
        files[name] = path
    if not files:
        there = f" ({left_out_sentence(contents.left_out)})" if contents.left_out else ""
        raise NotFound(f"{folder} contains no photographs{there}.")
    return files
