"""Recall tables as people and programs read them: terminal, Markdown, CSV, JSON."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from rich.console import Console
from rich.table import Table

from training.recall import Recalls

DEVIATIONS_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution


@dataclass(frozen=True)
class RecallRow:
    """One line of a recall table.

    Args:
        method: what was measured.
        direction: `a->b`, `b->a` or `a<->b`.
        recalls: rank to percent.
        queries: how many there were; None for published rows, which have no interval here.
    """

    method: str
    direction: str
    recalls: Recalls
    queries: int | None = None

    def interval(self, rank: int) -> tuple[float, float] | None:
        """The 95 % interval of a recall, in percent, by Wilson's score (Wilson, JASA 1927)."""
        return None if self.queries is None else wilson(self.recalls[rank], self.queries)


def wilson(percent: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share given in percent of `trials`, in percent."""
    share, z = percent / 100, DEVIATIONS_95
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return 100 * max(0.0, (centre - spread) / scale), 100 * min(1.0, (centre + spread) / scale)


def recall_rows(method: str, recalls: dict[str, Recalls], queries: dict[str, int]) -> list[RecallRow]:
    """Rows from fractions as `training.recall` gives them."""
    return [
        RecallRow(method, direction, {k: 100 * value for k, value in values.items()}, queries[direction])
        for direction, values in recalls.items()
    ]


def published_rows(dataset: str, ranks: Sequence[int]) -> list[RecallRow]:
    """The published rows of a data set (DaCo, ICMR 2021), at those of the ranks that were published; else empty."""
    text = files("daco_serve.benchmark").joinpath("published.csv").read_text()
    return [
        RecallRow(
            f"{row['method']} (published)",
            row["direction"],
            {k: float(row[f"R@{k}"]) for k in ranks if f"R@{k}" in row},
        )
        for row in csv.DictReader(io.StringIO(text))
        if row["dataset"] == dataset
    ]


def show(rows: Sequence[RecallRow], ranks: Sequence[int], title: str) -> None:
    """Prints the table to the terminal, intervals beside the recalls."""
    table = Table("method", "direction", *[f"R@{k}" for k in ranks], title=title)
    for row in rows:
        table.add_row(row.method, row.direction, *[_cell(row, k) for k in ranks])
    Console().print(table)


def to_markdown(rows: Sequence[RecallRow], ranks: Sequence[int]) -> str:
    """The table in Markdown, 95 % intervals in brackets."""
    lines = [["method", "direction", *[f"R@{k}" for k in ranks]], ["---"] * 2 + ["---:"] * len(ranks)]
    lines += [[row.method, row.direction.replace("<", "\\<"), *[_cell(row, k) for k in ranks]] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
            "interval": {
                f"R@{k}": [round(bound, 2) for bound in bounds]
                for k in row.recalls
                if (bounds := row.interval(k)) is not None
            },
        }
        for row in rows
    ]


def _cell(row: RecallRow, rank: int) -> str:
    if rank not in row.recalls:
        return "–"  # noqa: RUF001  (an en dash stands for no value)
    interval = row.interval(rank)
    bounds = f" ({interval[0]:.0f}-{interval[1]:.0f})" if interval else ""
    return f"{row.recalls[rank]:.2f}{bounds}"
