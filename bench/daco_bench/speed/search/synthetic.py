"""Synthetic descriptors with the statistics of real ones: any number, with several photographs per place; and queries.

The figures are those of EfficientNet-Lite0 with ImageNet weights and GeM pooling, for 1500 street photographs by day
and 500 by night, and for a walk by day and by night: the mean descriptor has length 0.82 (the cosine between the means
of the conditions is 0.89); the variance along the principal axes falls with the power -0.88 of the rank; photographs of
one place have a cosine of 0.82 (neighbouring frames of the walk: 0.86, 0.81, 0.78), by night and by day 0.70, those of
different places 0.68. `statistics_of` measures these for any descriptors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEAN = 0.82  # length of the mean descriptor
DECAY = 0.88  # exponent with which the variances fall with their rank
VIEWS = 8  # photographs of each place
OWN = 0.56  # share of the variance that differs between photographs of one place
QUERY_OWN = 0.8  # the same for a photograph in the other condition
CONDITIONS = 0.89  # cosine between the means of the two conditions
AT_ONCE = 65536


@dataclass(frozen=True)
class Statistics:
    """Statistics that determine how hard descriptors are to search.

    Args:
        mean: length of the mean descriptor.
        decay: exponent with which the variance along the principal axes falls with their rank, over ranks 4 to 100.
        participation: (sum of the variances)^2 / sum of their squares: the effective number of axes.
        nearest, tenth, typical: median cosine with the most similar descriptor, with the tenth, and with any.
    """

    mean: float
    decay: float
    participation: float
    nearest: float
    tenth: float
    typical: float


class SyntheticMap:
    """Descriptors of a map, bit-identical for the same arguments.

    Args:
        dimension: the length of a descriptor.
    """

    def __init__(self, dimension: int, seed: int = 0) -> None:
        self.dimension = dimension
        self._seed = seed
        random = np.random.default_rng([seed, 0])
        spectrum = np.arange(1, dimension + 1) ** -DECAY
        deviations = np.sqrt(spectrum / spectrum.sum() * (1 - MEAN**2))
        turned = np.linalg.qr(random.normal(size=(dimension, dimension)))[0]
        self._spread = (deviations[:, None] * turned).astype(np.float32)
        day, other = np.linalg.qr(random.normal(size=(dimension, 2)))[0].T
        night = CONDITIONS * day + np.sqrt(1 - CONDITIONS**2) * other
        self._day, self._night = ((MEAN * mean).astype(np.float32) for mean in (day, night))

    def descriptors(self, count: int) -> Iterator[NDArray[np.float32]]:
        """Descriptors of `count` photographs in the map's condition, VIEWS of each place, in blocks (m, dimension)."""
        for start in range(0, count, AT_ONCE):
            places = np.arange(start, min(start + AT_ONCE, count)) // VIEWS
            yield self._see(places, self._day, OWN, start + 1)

    def queries(self, count: int, of: int) -> NDArray[np.float32]:
        """Descriptors (count, dimension) of photographs in the other condition, of places among the first `of` ones."""
        places = np.random.default_rng([self._seed, 1]).integers(0, max(1, of // VIEWS), count)
        return self._see(places, self._night, QUERY_OWN, 0)

    def _see(self, places: NDArray[np.int64], mean: NDArray[np.float32], own: float, seed: int) -> NDArray[np.float32]:
        first = int(places.min())
        every = np.random.default_rng([self._seed, 2])
        shared = _normal(every, first, int(places.max()) + 1, self.dimension)[places - first]
        alone = np.random.default_rng([self._seed, 3, seed]).standard_normal(shared.shape, dtype=np.float32)
        seen = mean + (np.sqrt(1 - own) * shared + np.sqrt(own) * alone) @ self._spread
        lengths = np.linalg.norm(seen, axis=1, keepdims=True)
        normalised: NDArray[np.float32] = (seen / lengths).astype(np.float32)
        return normalised


def _normal(random: np.random.Generator, first: int, end: int, dimension: int) -> NDArray[np.float32]:
    """Rows `first` to `end` of an infinite table of normal random numbers, in which each row is always the same."""
    seed = int(random.integers(2**32))
    block = 1024
    blocks = [
        np.random.default_rng([seed, number]).standard_normal((block, dimension), dtype=np.float32)
        for number in range(first // block, (end - 1) // block + 1)
    ]
    return np.concatenate(blocks)[first % block : first % block + end - first]


def statistics_of(vectors: NDArray[np.float32]) -> Statistics:
    """The statistics of descriptors (n, dimension) of length 1; n of some thousands."""
    count, dimension = vectors.shape
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    variances = np.maximum(np.linalg.eigvalsh(centred.T @ centred / count)[::-1], 1e-12)
    ranks = np.arange(4, min(100, dimension))
    decay = -np.polyfit(np.log(ranks), np.log(variances[ranks - 1]), 1)[0]
    cosines = vectors @ vectors.T
    typical = np.median(cosines[np.triu_indices(count, 1)])
    np.fill_diagonal(cosines, -1)
    nearest = -np.sort(-cosines, axis=1)[:, :10]
    return Statistics(
        round(float(np.linalg.norm(mean)), 3),
        round(float(decay), 2),
        round(float(variances.sum() ** 2 / (variances**2).sum()), 1),
        round(float(np.median(nearest[:, 0])), 3),
        round(float(np.median(nearest[:, 9])), 3),
        round(float(typical), 3),
    )
