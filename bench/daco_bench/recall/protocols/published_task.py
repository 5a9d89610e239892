"""Applies a published protocol to its folders: the queries, the references, and which answers are right."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.protocols.published import Protocol
from daco_bench.recall.task import USUAL_RANKS, Task, some_images, two_folders_task
from daco_core.errors import NotFound, UsageError
from daco_core.photographs.images import list_images_below
from daco_training.evaluation.recall import Rows, blocks

EAST, NORTH, NUMBER = 1, 2, 7  # fields of a name split at @: the coordinates, and the number of a frame


@dataclass(frozen=True)
class PublishedTask:
    """A protocol, applied to photographs.

    Args:
        queries, references: the numbers of photographs found.
    """

    protocol: Protocol
    task: Task
    queries: int
    references: int

    @property
    def is_complete(self) -> bool:
        """Whether all published photographs were found, so that recalls can be compared."""
        return self.queries in self.protocol.queries and self.references in self.protocol.references

    @property
    def as_json(self) -> dict[str, Any]:
        """The rule, and the numbers of photographs found, as plain values."""
        protocol = self.protocol
        return {
            "name": protocol.name,
            "tolerance": protocol.tolerance,
            "unit": protocol.unit,
            "rule": protocol.rule,
            "source": protocol.source,
            "note": protocol.note,
            "published": {"queries": list(protocol.queries), "references": list(protocol.references)},
            "here": {"queries": self.queries, "references": self.references},
            "comparable": self.is_complete,
        }


def published_task(
    protocol: Protocol, folder: Path | None = None, database: Path | None = None, queries: Path | None = None
) -> PublishedTask:
    """Applies a protocol to a folder as written by VPR-datasets-downloader, or to two folders.

    Args:
        folder: of the data set; contains `images/test/database` and `images/test/queries`, or the protocol's own names;
            with or without `images`.
        database, queries: instead of the folder.

    Raises:
        NotFound: a folder is missing, or contains no photographs.
        UsageError: a name lacks the position or number of its photograph.
    """
    if database is None or queries is None:
        if folder is None:
            raise UsageError(f"Name the folder of {protocol.data_set}, or give both --database and --queries.")
        database, queries = _folders(protocol, folder)
    sides = [some_images(list_images_below(side), side) for side in (database, queries)]
    fields = EAST, NORTH
    if protocol.unit == "frames":
        fields = (NUMBER,)  # type: ignore[assignment]
    points = np.array([[_field(image, field) for field in fields] for side in sides for image in side])

    def right(asking: Rows, asked: Rows) -> NDArray[np.bool_]:
        differences = points[asking][:, None] - points[asked]
        return np.asarray((differences**2).sum(axis=-1) <= protocol.tolerance**2)

    asking = np.arange(len(sides[0]), len(points))
    first = [asking[right(rows, asking).argmax(axis=1)] for rows in blocks(asking)]  # the first query of the same place
    groups = np.concatenate([np.arange(len(sides[0])), *first])
    counts = len(sides[1]), len(sides[0])
    rule = f"{protocol.name}: {protocol.rule} ({protocol.source})"
    task = two_folders_task(database, queries, rule, USUAL_RANKS, sides, right, groups, all_count=True)
    return PublishedTask(protocol, task, *counts)


def _folders(protocol: Protocol, folder: Path) -> tuple[Path, Path]:
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder: name the one written by VPR-datasets-downloader.")
    parts = [folder / "images" / protocol.split, folder / protocol.split, folder]
    sides = protocol.reference_folder, protocol.query_folder
    for part in parts:
        if all((part / side).is_dir() for side in sides):
            return part / sides[0], part / sides[1]
    raise NotFound(
        f"{folder} has no folders images/{protocol.split}/{sides[0]} and images/{protocol.split}/{sides[1]}, as"
        f" VPR-datasets-downloader writes them for {protocol.name}: name these two with --database and --queries."
    )


def _field(image: Path, field: int) -> float:
    """A number in a file's name. Raises UsageError if there is none."""
    fields = image.name.split("@")
    try:
        number = float(fields[field])
    except (IndexError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        what = "the number of its frame, the seventh field" if field == NUMBER else "UTM coordinates"
        raise UsageError(
            f"The name of {image} does not contain {what}: names must be @UTM_east@UTM_north@...@.jpg, as written by"
            " VPR-datasets-downloader."
        )
    return number
