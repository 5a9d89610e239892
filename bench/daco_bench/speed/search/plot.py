"""Plots the comparison: query time, memory and build time over the size."""

from collections.abc import Sequence
from pathlib import Path

from daco_bench.speed.search.run import SearchRow
from daco_core.figures import curve_axes, drawing, save_figure

PANELS = (
    ("query_ms", "median time of one query (ms)", "log"),
    ("bytes_per_vector", "memory, bytes per vector", "linear"),
    ("build_cpu_seconds", "build (CPU seconds)", "log"),
)
SHOWN = {
    ("exact", "served"): "exact",
    ("small", "served"): "small index",
    ("usearch", "usearch"): "usearch",
    ("hnswlib", "hnswlib"): "hnswlib",
}


def plot_rows(rows: Sequence[SearchRow], file: Path) -> None:
    """Draws three panels over the size, with a line for each engine; .svg, .png or .pdf.

    Raises:
        DacoError: matplotlib is not installed, or the file cannot be written.
    """
    figure = drawing()(figsize=(12, 3.6), layout="tight")
    for place, (name, label, scale) in enumerate(PANELS, start=1):
        axes = figure.add_subplot(1, len(PANELS), place)
        for (kind, asked), title in SHOWN.items():
            line = sorted((row.count, getattr(row, name)) for row in rows if (row.kind, row.asked) == (kind, asked))
            line = [(count, value) for count, value in line if value > 0]
            if line:
                axes.plot(*zip(*line, strict=True), marker=".", label=title)
        first = "best" if place == 1 else None
        curve_axes(axes, first, xscale="log", yscale=scale, xlabel="descriptors", ylabel=label)
    save_figure(figure, file)
