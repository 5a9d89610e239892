"""What a threshold on the first match's similarity buys: precision against recall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.retrieval import Retrieval

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall when first matches are believed from a similarity on, for each similarity that occurs.

    Args:
        thresholds: (n,) the similarities, falling.
        precision: (n,) which share of the believed matches is right, 0..1.
        recall: (n,) for which share of the queries that have an answer a right match is believed, 0..1; the last is
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
        """The highest recall, 0..1, at which all that is believed is right, and from which similarity on (or None)."""
        flawless = np.flatnonzero(self.precision == 1)
        if not len(flawless):
            return 0.0, None
        return float(self.recall[flawless[-1]]), float(self.thresholds[flawless[-1]])


def precision_recall(answers: Retrieval) -> PrecisionRecall:
    """The curve of one encoder in one direction (Schubert et al., Visual Place Recognition: A Tutorial, IEEE RAM 2023).

    A query that no photograph answers has no share in recall; a match believed for it is wrong.
    """
    order = np.argsort(-answers.scores[:, 0], kind="stable")
    scores = answers.scores[order, 0].astype(np.float64)
    lasts = np.flatnonzero(np.diff(scores, append=-np.inf))  # matches of one similarity are believed together
    right = np.cumsum(answers.right[order, 0])[lasts]
    return PrecisionRecall(scores[lasts], right / (lasts + 1), right / max(1, answers.count))
