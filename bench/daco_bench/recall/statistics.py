"""Confidence intervals of recalls, and significance tests of differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
BLOCK = 500  # bootstrap samples computed at once
DEVIATIONS_95 = 1.959964  # standard deviations around the mean that contain 95 % of a normal distribution

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The difference between two methods on the same queries.

    Args:
        points: recall of the first minus that of the second, in percentage points.
        low, high: the 95 % interval.
        p: the two-sided p-value, 0..1, under the hypothesis that the methods do not differ.
    """

    points: float
    low: float
    high: float
    p: float


def interval(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """The 95 % interval of the share of hits, in percent: percentile bootstrap (Efron, Ann. Statist. 1979).

    Queries of one place are drawn together, because they are not independent. If all queries hit or all miss, a
    bootstrap would give an interval of width 0; Wilson's interval (JASA 1927) with one trial per place is used instead.

    Args:
        hits: (queries,), at least one.
        groups: (queries,) a number that queries of one place share.
    """
    sums, sizes = _by_group(hits.astype(np.float64), groups)
    if hits.all() or not hits.any():
        return wilson(100 * float(hits.mean()), len(sizes))
    return _bootstrap(sums, sizes)


def difference(one: NDArray[np.bool_], other: NDArray[np.bool_], groups: NDArray[np.int64]) -> Difference:
    """A paired test of two methods on the same queries.

    The interval is a bootstrap over places. The p-value is that of a randomisation test: the methods' answers are
    swapped at random, place by place (Fisher, The Design of Experiments, 1935; Smucker et al., CIKM 2007). With one
    query per place it is McNemar's test.

    Args:
        one, other: (queries,) whether each method's answer was right.
        groups: (queries,) a number that queries of one place share.
    """
    gains, sizes = _by_group(one.astype(np.float64) - other.astype(np.float64), groups)
    random, as_large = np.random.default_rng(1), 0
    for _ in range(RESAMPLES // BLOCK):
        swapped = random.choice((-1.0, 1.0), (BLOCK, len(gains))) @ gains
        as_large += int((np.abs(swapped) >= abs(gains.sum()) - 1e-9).sum())
    p = (1 + as_large) / (1 + RESAMPLES)
    return Difference(100 * float(gains.sum() / sizes.sum()), *_bootstrap(gains, sizes), p)


def holm(values: Sequence[float]) -> list[float]:
    """Adjusts the p-values of several tests, so that the probability of any false positive does not increase.

    (Holm, Scandinavian Journal of Statistics 1979.)
    """
    adjusted = [0.0] * len(values)
    most = 0.0
    for place, number in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        most = max(most, min(1.0, (len(values) - place) * values[number]))
        adjusted[number] = most
    return adjusted


def wilson(percent: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share given in percent of `trials`, in percent."""
    share, z = percent / 100, DEVIATIONS_95
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return 100 * max(0.0, (centre - spread) / scale), 100 * min(1.0, (centre + spread) / scale)


def _by_group(values: Values, groups: NDArray[np.int64]) -> tuple[Values, Values]:
    """(groups,) each: the sum of the values in each group, and their number."""
    _, numbers = np.unique(groups, return_inverse=True)
    return np.bincount(numbers, weights=values).astype(np.float64), np.bincount(numbers).astype(np.float64)


def _bootstrap(sums: Values, sizes: Values) -> tuple[float, float]:
    """The 95 % interval, in percent, of sum over size, by resampling groups; the samples are always the same."""
    random, count = np.random.default_rng(0), len(sizes)
    shares = []
    for _ in range(RESAMPLES // BLOCK):
        drawn = random.multinomial(count, np.full(count, 1 / count), BLOCK).astype(np.float64)
        shares.append((drawn @ sums) / (drawn @ sizes))
    low, high = np.percentile(np.concatenate(shares), [2.5, 97.5])
    return 100 * float(low), 100 * float(high)
