"""What all plots share: figures that need no display, axes in one style, and files written atomically."""

from pathlib import Path
from typing import Any

from daco_core.errors import DacoError, MissingExtra, reason_of
from daco_core.files import replace_file

DRAWINGS = (".svg", ".png", ".pdf")


def drawing() -> Any:
    """matplotlib's `Figure` class, which needs no display. Raises MissingExtra if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            "A plot needs matplotlib, which is not installed: pip install 'daco-serve[plot]'."
        ) from error
    return Figure


def curve_axes(axes: Any, legend: str | None = "best", **labels: Any) -> None:
    """Finishes the axes of curves: labels and limits as `Axes.set` takes them, a pale grid, a legend."""
    axes.set(**labels)
    axes.grid(True, alpha=0.3)
    if legend is not None:
        axes.legend(fontsize="small", loc=legend)


def plane_axes(axes: Any, title: str, **labels: Any) -> None:
    """Finishes the axes of points in a plane: both axes have the same scale, and all panels the same size."""
    axes.set(**labels)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title, fontsize="medium")


def legend_below(figure: Any, columns: int) -> None:
    """Puts one legend for all panels below them, with the entries of the first panel."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, frameon=False)


def save_figure(figure: Any, file: Path) -> None:
    """Writes a figure in the format that the file's suffix names. Raises DacoError if that fails."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as fresh:
            figure.savefig(fresh, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise DacoError(f"The plot cannot be written to {file}: {reason_of(error)}.") from error
