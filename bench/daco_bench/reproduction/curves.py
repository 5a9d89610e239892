"""Curves of recall over iterations: a panel for each direction, a line for each contender, a band for its seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daco_bench.figures.figure import plain
from daco_bench.reproduction.outcome import Outcome
from daco_core.figures import drawing, legend_below
from daco_training.loop.results import COLUMN


def draw_curves(outcomes: Mapping[str, Sequence[Outcome]], ranks: Sequence[int] = (1, 8)) -> Any:
    """A matplotlib figure: the mean over seeds as a line, the minimum and maximum as a band.

    Args:
        outcomes: contender to its outcomes, all validated after the same iterations.
        ranks: the k of the R@k to draw, a row for each.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    figure = drawing()(figsize=(4.4 * len(COLUMN), 3.4 * len(ranks) + 0.8), layout="constrained")
    panels = figure.subplots(len(ranks), len(COLUMN), squeeze=False, sharex=True, sharey="row")
    for row, rank in zip(panels, ranks, strict=True):
        for axes, (direction, column) in zip(row, COLUMN.items(), strict=True):
            for name, several in outcomes.items():
                iterations = [point["iteration"] for point in several[0].curve]
                values = np.array([[point[f"{column}@{rank}"] for point in one.curve] for one in several])
                dashed = "--" if "," in name else "-"
                (line,) = axes.plot(iterations, values.mean(axis=0), dashed, label=plain(name), linewidth=1.4)
                axes.fill_between(
                    iterations, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.15, linewidth=0
                )
            axes.grid(True, alpha=0.3)
            axes.set_title(plain(direction))
        row[0].set_ylabel(f"R@{rank} (%)")
        row[0].set_ylim(bottom=0)
    for axes in panels[-1]:
        axes.set_xlabel("iteration")
    legend_below(figure, 5)
    return figure
