"""Query strips: each query, and beside it what each method found first, framed green where right and red where not."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from daco_bench.figures.framed import RIGHT, WRONG, FramedPhotograph, framed_sheet
from daco_bench.recall.retrieval import Retrieval


def query_strips(answers: Sequence[Retrieval], count: int = 8, seed: int = 0, cell: int = 192) -> Image.Image:
    """A row for each query, a column for the query and for each method.

    Args:
        answers: of several methods to the same queries, in one direction.
        count: of queries, at most; drawn at random among those that have an answer, shown in the order of the data set.
        seed: the same seed draws the same queries, whatever the methods.
        cell: width of a photograph in pixels.

    Raises:
        UnreadableImage: a photograph is broken.
    """
    first = answers[0]
    drawn = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(first.answerable))[:count])
    rows = [[FramedPhotograph(first.queries[query]), *(_found(one, query) for one in answers)] for query in drawn]
    return framed_sheet(rows, [f"{first.direction}: query", *(one.method for one in answers)], cell)


def _found(answers: Retrieval, query: int) -> FramedPhotograph:
    return FramedPhotograph(answers.first(query), RIGHT if answers.right[query, 0] else WRONG)
