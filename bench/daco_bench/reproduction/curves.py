"""Recall over iterations: a panel for each direction, a line for each contender, all its seeds as a band."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daco_bench.figures.figure import plain
from daco_bench.reproduction.outcome import Outcome
from daco_core.figures import drawing
from daco_training.loop.results import COLUMN


def draw_curves(outcomes: Mapping[str, Sequence[Outcome]], rank: int = 1) -> Any:
    """A matplotlib figure: the mean over seeds as a line, the least and the greatest as a band.

    Args:
        outcomes: contender to its outcomes, validated after the same iterations.
        rank: the k of the R@k that is drawn.

    Raises:
        DacoError: matplotlib is not installed.
    """
    figure = drawing()(figsize=(4.4 * len(COLUMN), 4.6), layout="constrained")
    panels = figure.subplots(1, len(COLUMN), sharey=True)
    for axes, (direction, column) in zip(panels, COLUMN.items(), strict=True):
        for name, several in outcomes.items():
            iterations = [row["iteration"] for row in several[0].curve]
            values = np.array([[row[f"{column}@{rank}"] for row in one.curve] for one in several])
            dashed = "--" if "," in name else "-"
            (line,) = axes.plot(iterations, values.mean(axis=0), dashed, label=plain(name), linewidth=1.4)
            axes.fill_between(
                iterations, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.15, linewidth=0
            )
        axes.set(title=plain(direction), xlabel="iteration", ylim=(0, 101))
        axes.grid(True, alpha=0.3)
    panels[0].set_ylabel(f"R@{rank} (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize="small")
    return figure
