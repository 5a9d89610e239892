"""Recall tables as text, CSV and JSON."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from daco_bench.recall.retrieval import Retrieval
from daco_bench.recall.statistics import interval
from daco_training.evaluation.recall import Recalls


@dataclass(frozen=True)
class RecallRow:
    """One line of a recall table.

    Args:
        method: the method that was measured.
        direction: `a->b`, `b->a` or `a<->b`.
        recalls: rank to percent.
        queries: number of queries; None for published rows, which have no interval here.
        intervals: rank to the 95 % interval of the recall, in percent.
    """

    method: str
    direction: str
    recalls: Recalls
    queries: int | None = None
    intervals: dict[int, tuple[float, float]] = field(default_factory=dict)


def recall_rows(retrievals: Sequence[Retrieval], ranks: Sequence[int]) -> list[RecallRow]:
    """A row for each direction and method."""
    rows = []
    for answers in retrievals:
        groups = answers.groups[answers.answerable]
        intervals = {k: interval(answers.hits(k), groups) for k in ranks} if answers.count else {}
        recalls = {k: 100 * answers.recall(k) for k in ranks}
        rows.append(RecallRow(answers.method, answers.direction, recalls, answers.count, intervals))
    return rows


def published_rows(dataset: str, ranks: Sequence[int]) -> list[RecallRow]:
    """The rows that the published code of DaCo reports for a data set, at the ranks that it has; else none."""
    text = files("daco_bench.recall").joinpath("published.csv").read_text()
    return [
        RecallRow(
            f"{row['method']} (published)",
            row["direction"],
            {k: float(row[f"R@{k}"]) for k in ranks if f"R@{k}" in row},
        )
        for row in csv.DictReader(io.StringIO(text))
        if row["dataset"] == dataset
    ]


def header(ranks: Sequence[int]) -> list[str]:
    """The columns of a recall table."""
    return ["method", "direction", *[f"R@{k}" for k in ranks]]


def cells(row: RecallRow, ranks: Sequence[int]) -> list[str]:
    """A row as text, in the order of `header`: recalls with intervals."""
    return [row.method, row.direction, *[_cell(row, k) for k in ranks]]


def to_csv(rows: Sequence[RecallRow], ranks: Sequence[int], dataset: str) -> str:
    """The table as CSV, with the columns of the published one."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["dataset", "method", "direction", *[f"R@{k}" for k in ranks]])
    for row in rows:
        values = [f"{row.recalls[k]:.2f}" if k in row.recalls else "" for k in ranks]
        writer.writerow([dataset, row.method, row.direction, *values])
    return stream.getvalue()


def to_json(rows: Sequence[RecallRow]) -> list[dict[str, Any]]:
    """The rows as plain values: recalls and 95 % intervals in percent."""
    return [
        {
            "method": row.method,
            "direction": row.direction,
            "queries": row.queries,
            "recall": {f"R@{k}": round(value, 2) for k, value in row.recalls.items()},
            "interval": {f"R@{k}": [round(bound, 2) for bound in bounds] for k, bounds in row.intervals.items()},
        }
        for row in rows
    ]


def _cell(row: RecallRow, rank: int) -> str:
    if rank not in row.recalls:
        return "–"  # noqa: RUF001  (an en dash stands for no value)
    bounds = " ({:.0f}-{:.0f})".format(*row.intervals[rank]) if rank in row.intervals else ""
    return f"{row.recalls[rank]:.2f}{bounds}"
