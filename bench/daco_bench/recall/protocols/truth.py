"""Right answers from a table: `pairs.csv` with a query and a reference on each row."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.task import USUAL_RANKS, Task, some_images, two_folders_task
from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.photographs.images import list_images_below
from daco_core.untrusted_text import from_csv_cell
from daco_training.evaluation.recall import Rows

COLUMNS = ("query", "reference")


@dataclass(frozen=True)
class TruthTask:
    """A task with the right answers from a table.

    Args:
        unlisted: number of queries that are not in the table; they are not counted.
    """

    task: Task
    unlisted: int


def truth_task(database: Path, queries: Path, truth: Path) -> TruthTask:
    """A task of two folders with a table that lists the right references for each query.

    A query may have several rows. Names are paths relative to the folders, to their parent folders, or to the folder
    of the table; or absolute.

    Raises:
        NotFound: a folder contains no images.
        UsageError: the table lacks a column, or a row names a photograph that is not there.
        DacoError: it cannot be read.
    """
    sides = [some_images(list_images_below(side), side) for side in (database, queries)]
    rows = {image.absolute(): row for row, image in enumerate([*sides[0], *sides[1]])}
    right: dict[int, set[int]] = {}
    for number, (query, reference) in _read(truth):
        asks = _find(query, queries, truth, rows)
        answers = _find(reference, database, truth, rows)
        for name, row, folder in ((query, asks, queries), (reference, answers, database)):
            if row is None:
                raise UsageError(f"{truth}, line {number}: there is no photograph {name} in {folder}.")
        assert asks is not None and answers is not None
        right.setdefault(asks, set()).add(answers)
    if not right:
        raise UsageError(f"{truth} names no pairs.")

    def correct(asking: Rows, asked: Rows) -> NDArray[np.bool_]:
        column = {row: place for place, row in enumerate(asked.tolist())}
        table = np.zeros((len(asking), len(asked)), dtype=np.bool_)
        for place, row in enumerate(asking.tolist()):
            table[place, [column[answer] for answer in right.get(row, ()) if answer in column]] = True
        return table

    groups = np.arange(len(rows))
    task = two_folders_task(database, queries, f"right by {truth}", USUAL_RANKS, sides, correct, groups)
    return TruthTask(task, len(sides[1]) - len(right))


def _read(file: Path) -> list[tuple[int, tuple[str, str]]]:
    """The pairs of a table, each with the number of its line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}.") from error
    except UnicodeDecodeError as error:
        raise DacoError(f"{file} cannot be read: {error}.") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    table: Sequence[list[str]] = list(csv.reader(lines, delimiter=max(",;\t", key=header.count)))
    names = [name.strip().lower() for name in table[0]] if table else []
    if missing := [name for name in COLUMNS if name not in names]:
        raise UsageError(f"{file} lacks the column {missing[0]!r}: its first line must name {' and '.join(COLUMNS)}.")
    places = [names.index(name) for name in COLUMNS]
    pairs = []
    for number, row in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(places) or not all(row[place].strip() for place in places):
            raise UsageError(f"{file}, line {number}: it does not name a query and a reference.")
        query, reference = (from_csv_cell(row[place].strip()) for place in places)
        pairs.append((number, (query, reference)))
    return pairs


def _find(name: str, folder: Path, truth: Path, rows: dict[Path, int]) -> int | None:
    """The row of the photograph that a name in the table refers to; None if there is none."""
    for base in (folder, folder.absolute().parent, truth.absolute().parent):
        found = rows.get((base / name.replace("\\", "/")).absolute())
        if found is not None:
            return found
    return None
