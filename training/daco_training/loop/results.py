"""The published results table: one CSV row per epoch, or every so many iterations, in percent."""

import csv
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file
from daco_training.evaluation.recall import Recalls

# the published code's names for the directions in its columns
COLUMN = {"a->b": "val_ab_recall", "b->a": "val_ba_recall", "a<->b": "val_cross_recall"}

Row = dict[str, float]


def result_row(train_loss: float, recalls: dict[str, Recalls], precise: float | None) -> Row:
    """An epoch's row: `train_loss`, `val_precise` and each direction's recalls.

    Args:
        recalls: as fractions; the row contains percent.
        precise: the mean over directions of the recall at the first rank, R@1 by default; None without validation.
    """
    row = {"train_loss": train_loss}
    if precise is not None:
        row["val_precise"] = 100 * precise
    for direction, values in recalls.items():
        row |= {f"{COLUMN[direction]}@{k}": 100 * value for k, value in values.items()}
    return row


def write_results(file: Path, rows: Sequence[Row], ranks: Sequence[int], every: int = 0, last: int = 0) -> None:
    """Writes all rows, epochs counted from 1, atomically.

    Args:
        every: the number of iterations between rows, if they are not one per epoch; the first column is then
            `iteration`.
        last: with `every`, the iteration of the last row, which may be fewer iterations later.

    Raises:
        DacoError: the file cannot be written.
    """
    recalls = [f"{COLUMN[direction]}@{k}" for k in ranks for direction in COLUMN]
    first = "iteration" if every else "epoch"
    try:
        with replace_file(file) as fresh, fresh.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [first, "train_loss", "val_precise", *recalls])
            writer.writeheader()
            for number, row in enumerate(rows, start=1):
                writer.writerow({first: min(number * every, last) if every else number, **row})
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {reason_of(error)}.") from error
