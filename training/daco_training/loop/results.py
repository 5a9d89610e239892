"""The published results table: one CSV row an epoch, in percent."""

import csv
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import DacoError
from daco_core.files import replace_file
from daco_training.evaluation.recall import Recalls

# how the published code names the directions in its columns
COLUMN = {"a->b": "val_ab_recall", "b->a": "val_ba_recall", "a<->b": "val_cross_recall"}

Row = dict[str, float]


def result_row(train_loss: float, recalls: dict[str, Recalls], precise: float | None) -> Row:
    """An epoch's row: `train_loss`, `val_precise` and each direction's recalls.

    Args:
        recalls: fractions; the row has percent.
        precise: the mean of the directions' recall at the least rank, R@1 by default; None without validation.
    """
    row = {"train_loss": train_loss}
    if precise is not None:
        row["val_precise"] = 100 * precise
    for direction, values in recalls.items():
        row |= {f"{COLUMN[direction]}@{k}": 100 * value for k, value in values.items()}
    return row


def write_results(file: Path, rows: Sequence[Row], ranks: Sequence[int]) -> None:
    """Writes all rows, epochs counted from 1, atomically.

    Raises:
        DacoError: the file cannot be written.
    """
    recalls = [f"{COLUMN[direction]}@{k}" for k in ranks for direction in COLUMN]
    try:
        with replace_file(file) as fresh, fresh.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["epoch", "train_loss", "val_precise", *recalls])
            writer.writeheader()
            for epoch, row in enumerate(rows, start=1):
                writer.writerow({"epoch": epoch, **row})
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {error}") from error
