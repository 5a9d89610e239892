"""Query strips: each query with the first match of each method, framed green if right and red if wrong."""

import colorsys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_bench.figures.framed import RIGHT, WRONG, Dot, FramedPhotograph, framed_sheet
from daco_bench.recall.retrieval import Retrieval
from daco_index.reranking.voting import CellMatch

DOTS = 40  # the number of strongest matches that are drawn


def query_strips(answers: Sequence[Retrieval], count: int = 8, seed: int = 0, cell: int = 192) -> Image.Image:
    """A row for each query, a column for the query and for each method.

    Args:
        answers: of several methods to the same queries, in one direction.
        count: the largest number of queries; drawn at random from those with a right answer, in the data set's order.
        seed: the same seed draws the same queries, whatever the methods.
        cell: width of a photograph in pixels.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    drawn = _drawn(answers[0], count, seed)
    rows = [[FramedPhotograph(answers[0].queries[query]), *(_found(one, query) for one in answers)] for query in drawn]
    return framed_sheet(rows, [f"{answers[0].direction}: query", *(one.method for one in answers)], cell)


def cell_strips(
    answers: Sequence[tuple[Retrieval, Callable[[int], list[CellMatch]]]],
    count: int = 8,
    seed: int = 0,
    cell: int = 256,
) -> Image.Image:
    """Query strips in which cells of the query and of the match that agree are marked by dots of the same colour.

    The colour indicates the position in the query: hue from left to right, lightness from top to bottom.

    Args:
        answers: for each method, and a function for the matched cells of a query (by its number) and its first match.
        count, seed, cell: see `query_strips`.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    rows = []
    for query in _drawn(answers[0][0], count, seed):
        row = []
        for found, matches in answers:
            match = _found(found, query)
            cells = matches(query)[:DOTS]
            colours = [_colour(one.query_x, one.query_y) for one in cells]
            pairs = list(zip(cells, colours, strict=True))
            asked = tuple(Dot(one.query_x, one.query_y, colour) for one, colour in pairs)
            agreed = tuple(Dot(one.reference_x, one.reference_y, colour) for one, colour in pairs)
            row += [
                FramedPhotograph(found.queries[query], dots=asked),
                FramedPhotograph(match.file, match.frame, f"{len(cells)} cells drawn", agreed),
            ]
        rows.append(row)
    titles = [title for found, _ in answers for title in (f"{found.direction}: query", found.method)]
    return framed_sheet(rows, titles, cell)


def _drawn(answers: Retrieval, count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the queries to show."""
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(answers.answerable))[:count])


def _colour(x: float, y: float) -> tuple[int, ...]:
    """Red on the left to violet on the right; bright at the top, dark at the bottom."""
    return tuple(round(255 * part) for part in colorsys.hls_to_rgb(0.8 * x, 0.75 - 0.45 * y, 1.0))


def _found(answers: Retrieval, query: int) -> FramedPhotograph:
    return FramedPhotograph(answers.first(query), RIGHT if answers.right[query, 0] else WRONG)
