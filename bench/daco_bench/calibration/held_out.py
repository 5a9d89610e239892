"""Evaluates a calibration on queries that it was not fitted on, by cross-validation over cells of places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_bench.calibration.fitting import Outcomes
from daco_bench.calibration.name_rule import Names
from daco_index.references.find import Reference
from daco_serve.engine.calibration import Bin, Calibration, HeldOut
from daco_serve.engine.localize import LEAST_ON_MAP

FOLDS = 5
BINS = 10
TURNS = 4  # repetitions of the cross-validation with other partitions, which matter if there are few queries
CELL_DEGREES = 0.002  # queries within about 200 m are in the same part of the cross-validation
CELL_METRES = 200.0  # the same in a local frame


def make_folds(truths: Sequence[Reference], turn: int, rule: Names) -> NDArray[np.int64]:
    """The part of the cross-validation of each query, (n,); queries in one cell are in the same part."""
    cells: dict[object, int] = {}
    numbers = [cells.setdefault(_cell(truth, turn / TURNS, rule), len(cells)) for truth in truths]
    folds: NDArray[np.int64] = np.random.default_rng(turn).permutation(len(cells))[numbers] % FOLDS
    return folds


def _cell(truth: Reference, shift: float, rule: Names) -> object:
    """The cell of a query; the grid is shifted by this share of a cell."""
    if truth.latitude is None or truth.longitude is None:
        if truth.frame is None or truth.x is None or truth.y is None:
            return rule.cell(truth.place, shift)
        return truth.frame, math.floor(truth.x / CELL_METRES + shift), math.floor(truth.y / CELL_METRES + shift)
    return math.floor(truth.latitude / CELL_DEGREES + shift), math.floor(truth.longitude / CELL_DEGREES + shift)


@dataclass(frozen=True)
class Judged:
    """The predictions of a calibration for held-out queries: (n,) each."""

    outcomes: Outcomes
    right: NDArray[np.float64]
    refused: NDArray[np.bool_]
    radius: NDArray[np.float64]


def judge(calibration: Calibration, unseen: Outcomes, extent: float | None) -> Judged:
    """What a calibration predicts for queries that it was not fitted on."""
    right = np.array([calibration.right(row) for row in unseen.evidence.tolist()])
    on_map = np.array([calibration.on_map(row) for row in unseen.evidence.tolist()])
    radii = [calibration.radius(chance, extent) for chance in right.tolist()]
    return Judged(
        unseen, right, on_map < LEAST_ON_MAP, np.array([np.nan if radius is None else radius for radius in radii])
    )


def summarise(judged: Sequence[Judged]) -> HeldOut:
    """The evaluation of all parts together."""

    def joined(parts: Sequence[NDArray[np.float64] | NDArray[np.bool_]]) -> NDArray[np.float64]:
        return np.concatenate(parts).astype(np.float64)

    predicted, observed = joined([one.right for one in judged]), joined([one.outcomes.right for one in judged])
    weight, refused = joined([one.outcomes.weight for one in judged]), joined([one.refused for one in judged])
    on_map = joined([one.outcomes.on_map for one in judged]) > 0
    error, radius = joined([one.outcomes.error for one in judged]), joined([one.radius for one in judged])
    weight = weight / weight.sum()
    curve = calibration_curve(predicted, observed, weight)
    measured = on_map & np.isfinite(error) & np.isfinite(radius)
    return HeldOut(
        error=round(sum(point.share * abs(point.predicted - point.observed) for point in curve), 4),
        brier=round(float((weight * (predicted - observed) ** 2).sum()), 4),
        brier_constant=round(float((weight * ((weight * observed).sum() - observed) ** 2).sum()), 4),
        within_radius=round(float((error <= radius)[measured].mean()), 4) if measured.any() else None,
        refused_elsewhere=round(float(refused[~on_map].mean()), 4) if (~on_map).any() else 0.0,
        refused_on_map=round(float(refused[on_map].mean()), 4),
        curve=curve,
    )


def calibration_curve(
    predicted: NDArray[np.float64], observed: NDArray[np.float64], weight: NDArray[np.float64]
) -> list[Bin]:
    """The non-empty bins of equal width; `share` is a bin's part of the weight."""
    numbers = np.minimum((predicted * BINS).astype(int), BINS - 1)
    curve = []
    for number in np.unique(numbers[weight > 0]).tolist():
        inside = numbers == number
        share = float(weight[inside].sum())
        curve.append(
            Bin(
                least=number / BINS,
                most=(number + 1) / BINS,
                share=round(share, 4),
                predicted=round(float((weight * predicted)[inside].sum()) / share, 4),
                observed=round(float((weight * observed)[inside].sum()) / share, 4),
            )
        )
    return curve
