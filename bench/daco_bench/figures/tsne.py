"""A t-SNE plot of the descriptors of both domains, with each query joined to a photograph of its place."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_bench.figures.figure import REFERENCE, WRONG, draw_lines, plain
from daco_bench.recall.retrieval import Retrieval
from daco_core.errors import MissingExtra, UsageError
from daco_core.figures import drawing, legend_below, plane_axes

ASKING, ASKED = "#fdae61", "#2c5f9e"
FEWEST = 5
COLUMNS = 3  # panels in a row
PERPLEXITY = 30.0  # van der Maaten's and the field's usual one
MANY = 5000  # points from which on an SVG holds them as pixels

Plane = NDArray[np.float64]


def require() -> type[Any]:
    """openTSNE's class. Raises MissingExtra if it is not installed."""
    try:
        from openTSNE import TSNE
    except ImportError as error:
        raise MissingExtra("t-SNE needs openTSNE, which is not installed: pip install 'daco-serve[plot]'.") from error
    return TSNE  # type: ignore[no-any-return]


def to_plane(descriptors: NDArray[np.float32], seed: int = 0) -> Plane:
    """The descriptors, (n, dimension), as points, (n, 2), by t-SNE of their cosine distances.

    (van der Maaten and Hinton, JMLR 2008; computed by openTSNE, Poličar et al., JSS 2024.) With few descriptors, the
    perplexity is a third of their number.

    Raises:
        DacoError: openTSNE is not installed, or there are fewer than 5 descriptors.
    """
    tsne = require()
    if len(descriptors) < FEWEST:
        raise UsageError(f"t-SNE needs {FEWEST} photographs or more, not {len(descriptors)}.")
    perplexity = min(PERPLEXITY, (len(descriptors) - 1) / 3)
    return np.asarray(tsne(perplexity=perplexity, metric="cosine", random_state=seed).fit(descriptors))


def draw_planes(
    planes: Sequence[Plane], answers: Sequence[Retrieval], asking: NDArray[np.int64], asked: NDArray[np.int64]
) -> Any:
    """A matplotlib figure with a panel for each method.

    A line joins each query with the most similar photograph of its place; it is red if the first match is wrong.

    Args:
        planes: for each method, the points of all images.
        answers: of each method, in one direction.
        asking, asked: the rows of the queries and of the references.

    Raises:
        DacoError: matplotlib is not installed.
    """
    columns = min(len(planes), COLUMNS)
    rows = -(-len(planes) // columns)
    figure = drawing()(figsize=(4.8 * columns, 4.8 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    names = answers[0].direction.split("->")
    for axes in panels[len(planes) :]:
        axes.remove()
    for axes, plane, one in zip(panels, planes, answers, strict=False):
        for right, colour in ((True, REFERENCE), (False, WRONG)):
            joined = one.answerable & (one.right[:, 0] == right)
            draw_lines(axes, plane[asking[joined]], plane[one.nearest.images[joined]], colour)
        for name, chosen, colour in zip(names, (asking, asked), (ASKING, ASKED), strict=True):
            many = len(plane) > MANY
            axes.scatter(
                *plane[chosen].T, s=18, color=colour, linewidths=0, label=plain(name), zorder=2, rasterized=many
            )
        axes.plot([], [], color=WRONG, linewidth=0.8, label="another place found first")
        plane_axes(axes, f"{plain(one.method)}: R@1 {100 * one.recall(1):.1f}", xticks=[], yticks=[])
    legend_below(figure, columns=3)
    return figure
