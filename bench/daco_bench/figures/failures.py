"""The hardest failures: queries with the largest gap between a wrong match and the best right one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from daco_bench.figures.framed import RIGHT, WRONG, FramedPhotograph, framed_sheet
from daco_bench.recall.retrieval import Retrieval


@dataclass(frozen=True)
class Failure:
    """A query that was answered with a wrong place.

    Args:
        method, direction: of the answer.
        query: the query photograph.
        found: the wrong photograph that was ranked first.
        found_score: its cosine similarity.
        right: the most similar photograph that shows the query's place.
        right_score: its cosine similarity.
        right_rank: its rank.
    """

    method: str
    direction: str
    query: Path
    found: Path
    found_score: float
    right: Path
    right_score: float
    right_rank: int

    @property
    def margin(self) -> float:
        """By how much the wrong photograph was more similar than the right one."""
        return self.found_score - self.right_score


def hardest_failures(answers: Retrieval, count: int) -> list[Failure]:
    """The `count` queries with a wrong first match (although a right one exists) with the largest margin, in order."""
    nearest = answers.nearest
    margins = answers.scores[:, 0] - nearest.scores
    wrong = np.flatnonzero(answers.answerable & ~answers.right[:, 0])
    hardest = wrong[np.argsort(-margins[wrong], kind="stable")][:count]
    return [
        Failure(
            answers.method,
            answers.direction,
            answers.queries[query],
            answers.first(query),
            float(answers.scores[query, 0]),
            answers.images[int(nearest.images[query])],
            float(nearest.scores[query]),
            int(nearest.ranks[query]),
        )
        for query in hardest
    ]


def failures_sheet(failures: Sequence[Failure], cell: int = 224) -> Image.Image:
    """A row for each failure: the query, the match, and the right photograph with its rank.

    Args:
        failures: at least one, all of the same direction.
        cell: width of a photograph in pixels.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    rows = [
        [
            FramedPhotograph(one.query, None, f"{one.method}: {one.query.name}"),
            FramedPhotograph(one.found, WRONG, f"{one.found_score:.3f}  {one.found.name}"),
            FramedPhotograph(one.right, RIGHT, f"{one.right_score:.3f}, rank {one.right_rank}  {one.right.name}"),
        ]
        for one in failures
    ]
    return framed_sheet(rows, (f"{failures[0].direction}: query", "first match: wrong", "right photograph"), cell)


def failures_to_json(failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """The failures as plain values."""
    return [
        {
            "method": one.method,
            "direction": one.direction,
            "query": str(one.query),
            "found": {"file": str(one.found), "similarity": round(one.found_score, 4)},
            "right": {
                "file": str(one.right),
                "similarity": round(one.right_score, 4),
                "rank": one.right_rank,
            },
            "margin": round(one.margin, 4),
        }
        for one in failures
    ]
