"""What all figures share: colours, names that are shown unchanged, and output as SVG."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIGHT = "#1a9641"
WRONG = "#d7191c"
REFERENCE = "#a8a8a8"


def plain(name: str) -> str:
    """A name as matplotlib shows it unchanged: no formula between dollars, not hidden from the legend."""
    return name.replace("$", r"\$").lstrip("_")


def draw_lines(axes: Any, starts: NDArray[np.float64], ends: NDArray[np.float64], colour: str) -> None:
    """Draws thin lines from each of `starts`, (n, 2), to the corresponding one of `ends`, (n, 2), below all points."""
    gaps = np.full_like(starts, np.nan)  # one line with gaps is drawn a hundred times faster than many lines
    axes.plot(*np.stack([starts, ends, gaps], axis=1).reshape(-1, 2).T, color=colour, linewidth=0.8, zorder=1)


def to_svg(figure: Any, title: str) -> str:
    """A figure as an SVG element for a page; `title` is its text for screen readers."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Title": title, "Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" ', 1)
