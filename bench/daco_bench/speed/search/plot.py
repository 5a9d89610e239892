"""The comparison as a picture: time of a query, memory, and time to build, over the size."""

from collections.abc import Sequence
from pathlib import Path

from daco_bench.speed.search.run import SearchRow
from daco_index.search.tuning_plot import drawing, save_figure

PANELS = (
    ("query_ms", "median time of one query (ms)", "log"),
    ("bytes_per_vector", "memory, bytes a vector", "linear"),
    ("build_cpu_seconds", "build (CPU seconds)", "log"),
)
SHOWN = {
    ("exact", "served"): "exact",
    ("small", "served"): "small index",
    ("usearch", "usearch"): "usearch",
    ("hnswlib", "hnswlib"): "hnswlib",
}


def plot_rows(rows: Sequence[SearchRow], file: Path) -> None:
    """Draws three panels over the size, a line for each engine; .svg, .png or .pdf.

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
        axes.set(xscale="log", yscale=scale, xlabel="descriptors", ylabel=label)
        axes.grid(True, alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    save_figure(figure, file)
