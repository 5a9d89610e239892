"""Precision and recall for thresholds on the first match's similarity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.retrieval import Retrieval

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall if first matches are accepted above a threshold, for each similarity that occurs.

    Args:
        thresholds: (n,) the similarities, descending.
        precision: (n,) the share of the accepted matches that are right, 0..1.
        recall: (n,) the share of the queries with an answer for which a right match is accepted, 0..1; the last is
            R@1.
    """

    thresholds: Values
    precision: Values
    recall: Values

    @property
    def average_precision(self) -> float:
        """The sum of precision times the gain in recall, 0..1; at most R@1."""
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    @property
    def full(self) -> tuple[float, float | None]:
        """The highest recall, 0..1, at a precision of 1, and the threshold for it (None if there is none)."""
        flawless = np.flatnonzero(self.precision == 1)
        if not len(flawless):
            return 0.0, None
        return float(self.recall[flawless[-1]]), float(self.thresholds[flawless[-1]])


def precision_recall(answers: Retrieval) -> PrecisionRecall:
    """The curve of one encoder in one direction (Schubert et al., Visual Place Recognition: A Tutorial, IEEE RAM 2023).

    A query without a right reference does not count for recall; an accepted match for it is wrong.
    """
    order = np.argsort(-answers.scores[:, 0], kind="stable")
    scores = answers.scores[order, 0].astype(np.float64)
    lasts = np.flatnonzero(np.diff(scores, append=-np.inf))  # matches with equal similarity are accepted together
    right = np.cumsum(answers.right[order, 0])[lasts]
    return PrecisionRecall(scores[lasts], right / (lasts + 1), right / max(1, answers.count))
