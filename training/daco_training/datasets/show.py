"""A contact sheet of a data set: some of its photographs with their twins."""

from pathlib import Path

from PIL import Image

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.contact_sheet import EMPTY, contact_sheet, save_picture
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import SPLITS, DataSet


def show(dataset: DataSet, split: str = "train", count: int = 8, cell: int = 192) -> Image.Image:
    """A sheet of `count` places, evenly spread over a split: one row each, with columns for the domains and the twins.

    A row shows one place if the domains are pairs; otherwise the domains are only shown next to each other.

    Raises:
        DacoError: the split contains no photographs, or one cannot be read.
    """
    groups = [dataset.images(domain, split) for domain in dataset.domains]
    most = max(map(len, groups), default=0)
    if not most:
        raise NotFound(f"{dataset.folder / 'original'} contains no photographs in {split}.")
    count = min(count, most)
    places = [(2 * row + 1) * most // (2 * count) for row in range(count)]
    columns: list[list[Image.Image]] = []
    titles = []
    for domain, images in zip(dataset.domains, groups, strict=True):
        name = dataset.domain_names.get(domain, domain)
        # if one domain has fewer photographs than another, its last cells are empty
        chosen = [images[place] if place < len(images) else None for place in places]
        columns.append([_thumbnail(path, cell) for path in chosen])
        titles.append(f"{name} ({len(images)})")
        twins = [dataset.twin(path) if path else None for path in chosen]
        if any(twin and twin.exists() for twin in twins):
            columns.append([_thumbnail(twin if twin and twin.exists() else None, cell) for twin in twins])
            titles.append(f"{name}'s twins")
    return contact_sheet([list(row) for row in zip(*columns, strict=True)], titles, cell)


def save_sheet(dataset: DataSet, out: Path, split: str = "train", count: int = 8) -> None:
    """Writes the sheet of `show` to a file.

    Raises:
        DacoError: see `show`; there is no such split, or the file cannot be written.
    """
    if split not in SPLITS:
        raise UsageError(f"There is no split {split!r}: choose {' or '.join(SPLITS)}.")
    save_picture(show(dataset, split, count), out)


def _thumbnail(path: Path | None, cell: int) -> Image.Image:
    """The picture, reduced when it is read, so that a sheet of large photographs fits in memory; blank for None."""
    if path is None:
        return Image.new("RGB", (1, 1), EMPTY)
    image = open_rgb(path)
    image.thumbnail((2 * cell, 2 * cell))
    return image
