"""Curves of recall over k, and of precision over recall: a line for each method, a column for each direction."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from daco_bench.figures.figure import plain
from daco_bench.recall.precision_recall import precision_recall
from daco_bench.recall.retrieval import Retrieval
from daco_core.figures import curve_axes, drawing

LAST = 25  # the default of the largest k of the recall curves


def curves(answers: Sequence[Retrieval], last: int = LAST, precision: bool = True) -> Any:
    """A matplotlib figure: the recall curves and, if `precision`, below them the precision-recall curves.

    Args:
        answers: of all methods, in all directions.
        last: the k at which the recall curves end.

    Raises:
        DacoError: matplotlib is not installed.
    """
    directions = list(dict.fromkeys(one.direction for one in answers))
    rows = 2 if precision else 1
    figure = drawing()(figsize=(4.4 * len(directions), 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, len(directions), squeeze=False, sharey="row")
    for column, direction in enumerate(directions):
        own = [one for one in answers if one.direction == direction]
        _draw_recall(panels[0, column], own, last)
        panels[0, column].set_title(f"{plain(direction)}, {own[0].count} queries")
        if precision:
            _draw_precision(panels[1, column], own)
    panels[0, 0].set_ylabel("R@k (%)")
    if precision:
        panels[1, 0].set_ylabel("precision (%)")
    return figure


def curves_to_json(answers: Sequence[Retrieval], last: int = LAST) -> list[dict[str, Any]]:
    """The curves as plain values: recalls and precisions in percent, and the similarity above which all were right."""
    found = []
    for one in answers:
        curve = precision_recall(one)
        recall, threshold = curve.full
        found.append(
            {
                "method": one.method,
                "direction": one.direction,
                "queries": one.count,
                "recall": {f"R@{k}": round(100 * one.recall(k), 2) for k in _ranks(one, last)},
                "average_precision": round(100 * curve.average_precision, 2),
                "recall_at_full_precision": round(100 * recall, 2),
                "full_precision_from": None if threshold is None else round(threshold, 4),
            }
        )
    return found


def _ranks(answers: Retrieval, last: int) -> range:
    return range(1, min(last, answers.order.shape[1]) + 1)


def _draw_recall(axes: Any, answers: Sequence[Retrieval], last: int) -> None:
    for one in answers:
        ranks = _ranks(one, last)
        name = f"{plain(one.method)}: R@1 {100 * one.recall(1):.1f}"
        axes.plot(ranks, [100 * one.recall(k) for k in ranks], marker=".", label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    curve_axes(axes, "lower right", xlabel="k", ylim=(0, 103))


def _draw_precision(axes: Any, answers: Sequence[Retrieval]) -> None:
    for one in answers:
        curve = precision_recall(one)
        average, (full, _) = curve.average_precision, curve.full
        recall, precision = np.insert(curve.recall, 0, 0.0), np.insert(curve.precision, 0, curve.precision[0])
        name = f"{plain(one.method)}: AP {100 * average:.1f}, R@100P {100 * full:.1f}"
        axes.plot(100 * recall, 100 * precision, label=name)
    curve_axes(axes, "lower right", xlabel="recall (%) of first matches", xlim=(0, 101), ylim=(0, 103))
