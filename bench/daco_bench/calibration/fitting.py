"""Fits a calibration to the outcomes of queries with known places."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from daco_serve.engine.calibration import Calibration, HeldOut, Logistic

RIDGE = 1.0


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of validation queries; all arrays are (n,), evidence (n, 4), or (n, 8) with votes.

    Args:
        right: whether the location was right.
        on_map: whether the query's place was on the map.
        error: metres between location and true position; infinite if unknown.
        weight: how often such a query is expected.
        query: the number of the query, because each query is used more than once.
    """

    evidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    on_map: NDArray[np.bool_]
    error: NDArray[np.float64]
    weight: NDArray[np.float64]
    query: NDArray[np.int64]

    def part(self, rows: NDArray[np.bool_]) -> "Outcomes":
        """The outcomes in some rows."""
        return Outcomes(
            self.evidence[rows],
            self.right[rows],
            self.on_map[rows],
            self.error[rows],
            self.weight[rows],
            self.query[rows],
        )


@dataclass(frozen=True)
class Origin:
    """What a calibration is fitted on, as its file records it.

    Args:
        encoder: fingerprint of the index's encoder.
        references: number of references in the index.
        queries: the query photographs, in words.
        elsewhere: expected share of queries from places that are not in the index.
        created: when it is fitted, in ISO 8601.
    """

    encoder: str
    references: int
    queries: str
    elsewhere: float
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def fit(outcomes: Outcomes, extent: float | None, origin: Origin, held_out: HeldOut | None = None) -> Calibration:
    """Fits a calibration to the outcomes.

    The probabilities are logistic regressions of standardised evidence with a ridge penalty (Platt, 1999, generalised
    to several variables).

    Args:
        extent: half the map's diagonal in metres; None if positions are unknown.
        held_out: the evaluation on held-out queries, if there is one.
    """
    mean = outcomes.evidence.mean(axis=0)
    deviation = np.maximum(outcomes.evidence.std(axis=0), 1e-9)
    standard = (outcomes.evidence - mean) / deviation
    known = outcomes.on_map & np.isfinite(outcomes.error)
    right, wrong = outcomes.error[known & outcomes.right], outcomes.error[known & ~outcomes.right]
    steps = np.linspace(0, 1, 21)
    metres = extent is not None and len(right) > 0
    far = wrong if len(wrong) else np.array([extent or 0.0])  # without a wrong location, an error is the whole map
    return Calibration(
        encoder=origin.encoder,
        references=origin.references,
        created=origin.created,
        queries=origin.queries,
        count=int(outcomes.on_map.sum()),
        recall=round(float(outcomes.right[outcomes.on_map].mean()), 4),
        elsewhere=origin.elsewhere,
        mean=mean.tolist(),
        deviation=deviation.tolist(),
        is_right=_fit_logistic(standard, outcomes.right, outcomes.weight),
        is_on_map=_fit_logistic(standard, outcomes.on_map, outcomes.weight),
        right_errors=np.quantile(right, steps).round(2).tolist() if metres else [],
        wrong_errors=(np.quantile(far, steps) / max(extent or 1.0, 1.0)).round(5).tolist() if metres else [],
        held_out=held_out,
    )


def _fit_logistic(standard: NDArray[np.float64], truth: NDArray[np.bool_], weight: NDArray[np.float64]) -> Logistic:
    """Fits a logistic regression by Newton's method on the ridge-penalised likelihood.

    Half a positive and half a negative query with mean evidence are added, so that it is finite if all are alike.
    """
    x = np.column_stack([np.ones(len(standard) + 2), np.vstack([standard, np.zeros((2, standard.shape[1]))])])
    y = np.concatenate([truth.astype(float), [1.0, 0.0]])
    w = np.concatenate([weight * len(weight) / weight.sum(), [0.5, 0.5]])
    penalty = np.diag([0.0, *[RIDGE] * standard.shape[1]])
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(x @ beta)))
        gradient = x.T @ (w * (y - chance)) - penalty @ beta
        step = np.linalg.solve(x.T @ (x * (w * chance * (1 - chance))[:, None]) + penalty, gradient)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return Logistic(bias=float(beta[0]), weights=beta[1:].tolist())
