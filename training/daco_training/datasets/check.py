"""Checks a data set for faults, before they cost a night of training."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daco_core.photographs.formats import readable_suffixes
from daco_core.photographs.images import UnreadableImage, open_rgb
from daco_core.photographs.layout import SPLITS, DataSet
from daco_core.photographs.locations import LOCATIONS_FILE, read_locations
from daco_core.photographs.pairing import pair_keys
from daco_core.photographs.positions import locate
from daco_core.threads import in_threads

BESIDE = frozenset({".csv", ".geojson", ".json", ".txt", ".md"})  # other files that are expected among photographs

MOST_SIZES = 6  # printed; JSON has all
MOST_FILES = 20


@dataclass(frozen=True)
class Problem:
    """A fault: its kind (`unpaired`, `unreadable`, ...), the file, and a few words."""

    kind: str
    file: str
    detail: str


@dataclass(frozen=True)
class CheckReport:
    """The results of `check`.

    Args:
        photographs: number of originals in each domain and split, by `domain_a/train`.
        sizes: width x height, upright, to the number of originals of that size.
        problems: the faults; files are relative to the data set's folder.
        notes: other facts that are worth knowing.
    """

    photographs: dict[str, int]
    sizes: dict[str, int]
    problems: list[Problem]
    notes: list[str]

    def __str__(self) -> str:
        lines = [f"{group}: {count} photographs" for group, count in self.photographs.items()]
        sizes = [f"{size} ({count})" for size, count in self.sizes.items()]
        lines.append(f"sizes: {', '.join(sizes[:MOST_SIZES])}" + (", ..." if len(sizes) > MOST_SIZES else ""))
        lines += [f"note: {note}" for note in self.notes]
        for kind, count in Counter(problem.kind for problem in self.problems).items():
            lines.append(f"{kind}: {count}")
            files = [problem for problem in self.problems if problem.kind == kind]
            lines += [f"  {problem.file} {problem.detail}" for problem in files[:MOST_FILES]]
            if len(files) > MOST_FILES:
                lines.append(f"  ... and {len(files) - MOST_FILES} more; --json lists all")
        return "\n".join([*lines, f"{len(self.problems) or 'no'} problems"])


@dataclass(frozen=True)
class _Seen:
    path: Path
    size: tuple[int, int]
    digest: bytes
    unreadable: str | None = None


def check(dataset: DataSet) -> CheckReport:
    """Reads every photograph and twin of a data set once, and compares domains, splits, locations and twins.

    Raises:
        DacoError: a `locations.csv` is invalid.
    """
    groups = {(domain, split): dataset.images(domain, split) for domain in dataset.domains for split in SPLITS}
    originals = [image for images in groups.values() for image in images]
    twins = [
        path for domain in dataset.domains for split in SPLITS for path in dataset.images(domain, split, "generated")
    ]
    seen = list(in_threads(_look, [*originals, *twins], "photographs"))
    originals_seen = seen[: len(originals)]
    notes: list[str] = []
    problems = [
        *(Problem("unreadable", str(look.path), look.unreadable) for look in seen if look.unreadable),
        *_unpaired(dataset, groups, notes),
        *_same_names(groups),
        *_duplicates(originals_seen),
        *_ignored(dataset),
        *_locations(dataset, groups, notes),
        *_twins(dataset, groups, twins, notes),
    ]
    if not originals:
        problems.append(Problem("empty", "original", "there are no photographs in domain_*/train or val"))
    sizes = Counter("x".join(map(str, look.size)) for look in originals_seen if not look.unreadable)
    return CheckReport(
        photographs={f"{domain}/{split}": len(images) for (domain, split), images in groups.items()},
        sizes=dict(sizes.most_common()),
        problems=[Problem(problem.kind, _relative(dataset, problem.file), problem.detail) for problem in problems],
        notes=notes,
    )


Groups = dict[tuple[str, str], list[Path]]
"""(domain, split) to the originals."""


def _look(path: Path) -> _Seen:
    try:
        image = open_rgb(path)
    except UnreadableImage as error:
        return _Seen(path, (0, 0), b"", str(error).removeprefix(f"{path} "))
    content = hashlib.blake2b(image.tobytes(), digest_size=16)
    content.update(repr(image.size).encode())
    return _Seen(path, image.size, content.digest())


def _unpaired(dataset: DataSet, groups: Groups, notes: list[str]) -> Iterator[Problem]:
    """Names without a partner; domains without any common name are treated as unpaired on purpose."""
    first, *others = dataset.domains or [""]
    for split in SPLITS:
        for other in others:
            here, there = (pair_keys(image.name for image in groups[domain, split]) for domain in (first, other))
            if not here.keys() & there.keys():
                if here or there:
                    counts = f"{len(here)} and {len(there)} photographs"
                    notes.append(f"{split}: {first} and {other} are not pairs ({counts}).")
                continue
            for keys, domain, partners, partner in ((here, first, there, other), (there, other, here, first)):
                for key in sorted(keys.keys() - partners.keys()):
                    image = dataset.split_folder(domain, split) / keys[key]
                    yield Problem("unpaired", str(image), f"{partner} has no partner of it")


def _same_names(groups: Groups) -> Iterator[Problem]:
    """`1.jpg` next to `1.png`: two photographs with one place name shift the order that pairs domains."""
    for images in groups.values():
        first: dict[str, Path] = {}
        for image in images:
            if image.stem in first:
                yield Problem("same name", str(image), f"has the name of {first[image.stem].name}")
            first.setdefault(image.stem, image)


def _duplicates(originals: list[_Seen]) -> Iterator[Problem]:
    first: dict[bytes, Path] = {}
    for look in originals:
        if look.unreadable:
            continue
        if look.digest in first:
            yield Problem("duplicate", str(look.path), f"has the same pixels as {_short(first[look.digest])}")
        first.setdefault(look.digest, look.path)


def _ignored(dataset: DataSet) -> Iterator[Problem]:
    """Files that training ignores silently: of other kinds, or in folders that are too deep."""
    for domain in dataset.domains:
        for split in SPLITS:
            folder = dataset.split_folder(domain, split)
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                hidden = path.name.startswith(".")
                if not hidden and (
                    path.is_dir() or path.suffix.lower() not in readable_suffixes() | BESIDE or not path.exists()
                ):
                    yield Problem(
                        "ignored",
                        str(path),
                        f"is not used: only {', '.join(sorted(readable_suffixes()))} files directly in this folder are",
                    )


def _locations(dataset: DataSet, groups: Groups, notes: list[str]) -> Iterator[Problem]:
    originals = [image for images in groups.values() for image in images]
    located = locate(dataset.folder / "original", originals)
    if not located:
        notes.append("There are no positions in tables, names or EXIF, so nothing can be measured in metres.")
    for image in originals:
        if located and image not in located:
            yield Problem("no location", str(image), "has no position, although others have one")
    for images in filter(None, groups.values()):
        names = {image.name for image in images}
        for name in sorted(read_locations(images[0].parent).keys() - names):
            yield Problem("stray location", str(images[0].parent / LOCATIONS_FILE), f"lists {name}, which is missing")


def _twins(dataset: DataSet, groups: Groups, twins: list[Path], notes: list[str]) -> Iterator[Problem]:
    if not twins:
        notes.append(f"There are no generated twins yet; daco needs them: daco-data translate {dataset.name}")
        return
    expected = {dataset.twin(image) for images in groups.values() for image in images}
    for (_, split), images in groups.items():
        for image in images:
            # only training uses twins, so those of validation photographs are optional
            if split == "train" and not dataset.twin(image).exists():
                yield Problem("no twin", str(image), "has no generated twin")
    for twin in twins:
        if twin not in expected:
            yield Problem("stray twin", str(twin), "has no original")


def _relative(dataset: DataSet, file: str) -> str:
    path = Path(file)
    return path.relative_to(dataset.folder).as_posix() if path.is_relative_to(dataset.folder) else file


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])
