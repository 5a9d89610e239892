"""Measures recall under changes of viewpoint, and reports it as rows, plain values and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from daco_bench.figures.figure import plain
from daco_bench.recall.reranked import EmbeddedPhotographs, embed_photographs, rerank
from daco_bench.recall.retrieval import Retrieval
from daco_bench.recall.table import RecallRow, cells, recall_rows, to_json
from daco_bench.viewpoint.trials import UNCHANGED, Change, Trial, Trials
from daco_core.figures import curve_axes, drawing
from daco_index.embedding.engines.engine import Engine


@dataclass(frozen=True)
class ViewpointRow:
    """The recall of one method for one change of viewpoint; the row's direction is the condition."""

    change: Change
    row: RecallRow


def measure_viewpoints(
    trials: Trials, engines: Mapping[str, Engine], ranks: Sequence[int], candidates: int
) -> list[ViewpointRow]:
    """The recalls of all encoders in all trials, without and with re-ranking.

    Args:
        candidates: number of candidates to re-rank, for encoders with local descriptors; 0 for none.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    rows = []
    for label, engine in engines.items():
        references = _embed_references(trials, engine, label, candidates > 0)
        for trial in trials.trials:
            (direction,) = trial.task.directions
            embedded = references.followed_by(_embed_queries(trial, engine, label, candidates > 0))
            answers = trial.task.rank(embedded.descriptors, label, direction, max(*ranks, candidates))
            found: list[Retrieval] = [answers]
            if embedded.local is not None:
                found.append(rerank(answers, trial.task, embedded, candidates))
            for row in recall_rows(found, ranks):
                shown = RecallRow(row.method, trial.condition, row.recalls, row.queries, row.intervals)
                rows.append(ViewpointRow(trial.change, shown))
    return rows


def _embed_references(trials: Trials, engine: Engine, label: str, with_local: bool) -> EmbeddedPhotographs:
    def open_reference(file: Path) -> Image.Image:
        return trials.open_reference(file, engine.image_size)

    return embed_photographs(engine, trials.references, open_reference, f"{label}: references", with_local)


def _embed_queries(trial: Trial, engine: Engine, label: str, with_local: bool) -> EmbeddedPhotographs:
    def open_query(number: int) -> Image.Image:
        return trial.open_query(trial.task.images[asking[number]], number, engine.image_size)

    ((asking, _),) = trial.task.directions.values()
    words = f"{label}: {trial.condition}, {trial.change.words}"
    return embed_photographs(engine, range(len(asking)), open_query, words, with_local)


def header(ranks: Sequence[int]) -> list[str]:
    """The columns of the table."""
    return ["change of viewpoint", "queries -> references", "method", *[f"R@{k}" for k in ranks]]


def lines(rows: Sequence[ViewpointRow], ranks: Sequence[int]) -> list[list[str]]:
    """The table, change by change, with all methods under each."""
    changes = list(dict.fromkeys((one.row.direction, one.change.words) for one in rows))
    ordered = sorted(rows, key=lambda one: changes.index((one.row.direction, one.change.words)))
    found = []
    for one in ordered:
        method, condition, *recalls = cells(one.row, ranks)
        found.append([one.change.words, condition, method, *recalls])
    return found


def rows_to_json(rows: Sequence[ViewpointRow]) -> list[dict[str, Any]]:
    """The rows as plain values: the change, and recalls and 95 % intervals in percent."""
    return [
        {"change": one.change.kind, "amount": one.change.amount, "viewpoint": one.change.words, **values}
        for one, values in zip(rows, to_json([one.row for one in rows]), strict=True)
    ]


def viewpoint_curves(rows: Sequence[ViewpointRow]) -> Any:
    """A matplotlib figure of R@1: a column for each kind of change, a row for each condition, a line for each method.

    If unchanged queries were measured, the curves begin with them. Vertical lines are 95 % intervals.

    Raises:
        DacoError: matplotlib is not installed.
    """
    kinds = list(dict.fromkeys(one.change.kind for one in rows if one.change is not UNCHANGED))
    conditions = list(dict.fromkeys(one.row.direction for one in rows))
    methods = list(dict.fromkeys(one.row.method for one in rows))
    figure = drawing()(figsize=(1.2 + 3.2 * len(kinds), 0.8 + 2.8 * len(conditions)), layout="constrained")
    panels = figure.subplots(len(conditions), len(kinds), squeeze=False, sharey=True)
    for line, condition in enumerate(conditions):
        for column, kind in enumerate(kinds):
            axes = panels[line, column]
            for number, method in enumerate(methods):
                own = [
                    one
                    for one in rows
                    if one.row.method == method and one.row.direction == condition and one.change.kind in (kind, "none")
                ]
                _draw(axes, sorted(own, key=lambda one: _place(kind, one.change)), kind, plain(method), f"C{number}")
            curve_axes(axes, None, xlabel=_axis(kind), ylim=(-3, 103))
            axes.set_title(f"{plain(condition)}: {kind}", fontsize="medium")
        panels[line, 0].set_ylabel("R@1 (%)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(axes: Any, own: Sequence[ViewpointRow], kind: str, label: str, colour: str) -> None:
    places = [_place(kind, one.change) for one in own]
    recalls = [one.row.recalls[1] for one in own]
    bounds = [one.row.intervals.get(1, (recall, recall)) for one, recall in zip(own, recalls, strict=True)]
    axes.plot(places, recalls, marker="o", markersize=4, label=label, color=colour)
    axes.vlines(places, [low for low, _ in bounds], [high for _, high in bounds], color=colour, alpha=0.35)
    if kind == "moved and turned":
        axes.set_xticks(places, [one.change.words.replace(" degrees", "°").replace(", ", "\n") for one in own])


def _place(kind: str, change: Change) -> float:
    return 1.0 if kind == "zoom" and change is UNCHANGED else change.amount


def _axis(kind: str) -> str:
    return {
        "moved": "metres along the street",
        "turned": "degrees",
        "shift": "sideways (% of the width)",
        "zoom": "times nearer",
        "oblique": "degrees around the middle",
        "roll": "degrees about the line of sight",
    }.get(kind, "")
