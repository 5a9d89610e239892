"""Finds reference photographs and their positions."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.coordinates import POSITION_FIELDS, Position
from daco_core.photographs.formats import left_out_sentence, readable_suffixes
from daco_core.photographs.images import list_below, list_folder
from daco_core.photographs.layout import SPLITS, DataSet
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions import locate
from daco_core.untrusted_text import printable
from daco_index.references.object_stores import find_remote, is_remote

Split = Literal["all", "train", "val"]


@dataclass(frozen=True)
class Reference(Position):
    """A reference photograph.

    Args:
        path: absolute; or the address of a file in an object store.
        place: the name of the place; several photographs may share one.
    """

    path: Path | str
    place: str

    def at(self, location: PhotoLocation) -> "Reference":
        """The same photograph at a location, with the location's place name if it has one."""
        return Reference(
            self.path,
            location.place or self.place,
            **{name: getattr(location, name) for name in POSITION_FIELDS},
        )


def absolute_source(source: str, data_root: Path = Path("data")) -> tuple[str, Path]:
    """Makes a source and its data root absolute, so that they hold from any working folder. Raises DacoError."""
    if is_remote(source):
        return source.rstrip("/"), data_root.absolute()
    is_folder = _find_domain(source, data_root) is None
    return str(Path(source).resolve()) if is_folder else source, data_root.absolute()


@dataclass(frozen=True)
class SourceContents:
    """The contents of a source.

    Args:
        references: its photographs, in a fixed order.
        other_files: number of other files, which cannot be read as photographs, by kind.
        notes: sentences about tables that do not fit, and about doubtful positions.
    """

    references: list[Reference]
    other_files: dict[str, int]
    notes: list[str]


def find_references(source: str, data_root: Path = Path("data"), split: Split = "all") -> list[Reference]:
    """The reference photographs that a command line names; notes about their positions are printed on stderr.

    Arguments and errors are those of `look_into`.
    """
    contents = look_into(source, data_root, split)
    for note in contents.notes:
        print(f"Note: {printable(note)}", file=sys.stderr)
    return contents.references


def look_into(source: str, data_root: Path = Path("data"), split: Split = "all") -> SourceContents:
    """The reference photographs that a command line names, in a fixed order, and what else is there.

    Args:
        source: `NAME/domain` (`tokyo/day`, `demo/domain_a`), a domain of a data set below `data_root`; or a folder of
            photographs, including all its subfolders. A data set takes precedence over a folder of the same name. Or an
            address such as `s3://bucket/north`, for all photographs below it in an object store that fsspec can read.
        split: the part of a data set; a plain folder has only `all`.

    Raises:
        DacoError: there is no such source, it contains no photographs, or its positions are invalid.
    """
    if is_remote(source):
        return _remote_references(source, split)
    domain = _find_domain(source, data_root)
    if domain is not None:
        data_set, name = domain
        folder = (data_set.folder / "original" / name).absolute()
        images, other_files = _domain_images(data_set, name, split)
    else:
        _refuse_split(source, split)
        folder = Path(source).resolve()
        contents = list_below(folder)
        images = {image: image.relative_to(folder).with_suffix("").as_posix() for image in contents.images}
        other_files = contents.left_out
    if not images:
        raise _no_photographs(source, other_files, "" if split == "all" else f" in its split {split!r}")
    notes: list[str] = []
    locations = locate(folder, list(images), notes)
    references = [_reference(path, place, locations.get(path)) for path, place in images.items()]
    return SourceContents(references, other_files, notes)


def _remote_references(source: str, split: Split) -> SourceContents:
    _refuse_split(source, split)
    found = find_remote(source)
    if not found.photographs:
        raise _no_photographs(source, found.other_files)
    references = [
        _reference(address, PurePosixPath(name).with_suffix("").as_posix(), location)
        for address, (name, location) in found.photographs.items()
    ]
    return SourceContents(references, found.other_files, found.notes)


def _refuse_split(source: str, split: Split) -> None:
    if split != "all":
        raise UsageError(f"Only a data set has a split {split!r}, and {source} is a plain folder: omit --split.")


def _no_photographs(source: str, other_files: dict[str, int], part: str = "") -> DacoError:
    there = f" ({left_out_sentence(other_files)})" if other_files else ""
    suffixes = ", ".join(sorted(readable_suffixes()))
    return NotFound(f"{source} contains no photographs{part}{there}: none of its files ends in {suffixes}.")


def _find_domain(source: str, data_root: Path) -> tuple[DataSet, str] | None:
    """The data set and its domain folder; None if the source is a plain folder."""
    is_folder = Path(source).is_dir()
    name, _, domain = source.rstrip("/").partition("/")
    named = bool(name) and (data_root / name / "original").is_dir()
    if named and domain and "/" not in domain:
        data_set = DataSet(data_root, name)
        if not is_folder or domain in (*data_set.domains, *data_set.domain_names.values()):
            return data_set, data_set.find_domain(domain)
    if is_folder:
        return None
    if named and not domain:
        data_set = DataSet(data_root, name)
        known = ", ".join(f"{name}/{data_set.domain_names.get(folder, folder)}" for folder in data_set.domains)
        raise NotFound(f"{source} is a data set with several domains: name one of {known or 'them (it has none yet)'}.")
    if Path(source).exists():
        raise UsageError(
            f"{source} is a file, but not a video by its suffix: name the folder that contains the photographs."
        )
    raise NotFound(
        f"There is no {source}: no such folder, video or recording, and no data set NAME/domain below {data_root}."
    )


def _domain_images(data_set: DataSet, domain: str, split: Split) -> tuple[dict[Path, str], dict[str, int]]:
    """Photograph to place, and the number of other files by kind.

    The place is the file's stem, which pairs domains; preceded by the split if both splits have that stem.
    """
    splits = SPLITS if split == "all" else (split,)
    folders = {part: list_folder(data_set.split_folder(domain, part)) for part in splits}
    found = [(part, image.absolute()) for part, contents in folders.items() for image in contents.images]
    times = Counter(image.stem for _, image in found)
    others: Counter[str] = Counter()
    for contents in folders.values():
        others.update(contents.left_out)
    places = {image: image.stem if times[image.stem] == 1 else f"{part}/{image.stem}" for part, image in found}
    return places, dict(others.most_common())


def _reference(path: Path | str, place: str, location: PhotoLocation | None) -> Reference:
    reference = Reference(path, place)
    return reference if location is None else reference.at(location)
