"""Draws the measured curve of recall against time."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from daco_core.figures import curve_axes, drawing, save_figure
from daco_index.search.tuning import OperatingPoint


def plot_curve(
    points: Sequence[OperatingPoint], chosen: OperatingPoint, exact_milliseconds: float, title: str, file: Path
) -> None:
    """Draws recall over milliseconds, one line for each `k_factor`, with the chosen point ringed; .svg, .png or .pdf.

    Raises:
        DacoError: matplotlib is not installed, or the file cannot be written.
    """
    figure = drawing()(figsize=(6, 4))
    axes = figure.add_subplot()
    for k_factor, line in groupby(points, key=lambda point: point.parameters["k_factor"]):
        some = list(line)
        axes.plot(
            [point.milliseconds for point in some],
            [point.recall for point in some],
            marker=".",
            label=f"k_factor {k_factor}",
        )
    axes.plot([chosen.milliseconds], [chosen.recall], "o", markersize=12, fillstyle="none", color="black")
    axes.axvline(exact_milliseconds, color="grey", linestyle="--", label="exact")
    labels = {"xlabel": "median time of one query (ms)", "ylabel": "recall of the exact ten best"}
    curve_axes(axes, xscale="log", title=title, **labels)
    save_figure(figure, file)
