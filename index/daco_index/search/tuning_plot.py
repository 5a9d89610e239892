"""The curve of recall against time that tuning measured, as a picture."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from daco_core.errors import DacoError, MissingExtra
from daco_index.search.tuning import Point

DRAWINGS = (".svg", ".png", ".pdf")


def drawing() -> Any:
    """matplotlib's figure class, which needs no display. Raises DacoError where it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            "A plot needs matplotlib, which is not installed: pip install 'daco-serve[plot]'."
        ) from error
    return Figure


def save_figure(figure: Any, file: Path) -> None:
    """Writes a figure in the form that the file's suffix names. Raises DacoError where that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise DacoError(f"The plot cannot be written to {file}: {error}") from error


def plot_curve(points: Sequence[Point], chosen: Point, exact_milliseconds: float, title: str, file: Path) -> None:
    """Draws recall over milliseconds, a line for each `k_factor`, the chosen point ringed; .svg, .png or .pdf.

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
    axes.set(xscale="log", xlabel="median time of one query (ms)", ylabel="recall of the exact ten best", title=title)
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, file)
