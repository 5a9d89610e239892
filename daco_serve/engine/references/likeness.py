"""Measures how much the references of different places resemble each other: the level that a similarity must exceed.

The photographs of one map may resemble each other more than those of another: houses of one style, corridors, a city
rendered by a program. A prior calibration, which was fitted on other maps, compares similarities with this level.
"""

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.distances import Places, is_placed
from daco_index.search.bundle import Bundle

SAMPLES = 100  # references that are looked up, evenly spread over the ids
NEIGHBOURS = 200  # matches of each among which the best one of another place is sought
APART_METRES = 50.0  # references further apart than this show different places
LEAST = 20  # fewest references with such a match for a meaningful mean


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` row numbers, evenly spread over `count` rows: (min(most, count),)."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.int64)


def similarity_elsewhere(bundle: Bundle) -> float | None:
    """The mean similarity of a reference and the most similar one that was taken elsewhere.

    It takes as long as SAMPLES queries. None if fewer than LEAST references have a position and such a match, or if
    the map has no local descriptors, because there is no prior then.

    Raises:
        StoreAway, DamagedIndex: the index cannot be read.
    """
    if not bundle.manifest.with_location or bundle.local is None:
        return None
    ids = bundle.local.ids()
    sample = ids[spread_rows(len(ids), SAMPLES)]
    similarities, found = bundle.store.search(bundle.store.vectors(sample), min(NEIGHBOURS, len(ids)))
    entries = [entry for entry in bundle.catalog.get(np.union1d(sample, found).tolist()) if is_placed(entry)]
    rows = {entry.id: row for row, entry in enumerate(entries)}
    places = Places(entries)
    best = []
    for number, near, likeness in zip(sample.tolist(), found.tolist(), similarities.tolist(), strict=True):
        known = [(rows[other], value) for other, value in zip(near, likeness, strict=True) if other in rows]
        if number not in rows or not known:
            continue
        away = places.metres(np.array([rows[number]]), other_rows=np.array([row for row, _ in known]))[0]
        elsewhere = np.flatnonzero(away > APART_METRES)
        if len(elsewhere):
            best.append(known[elsewhere[0]][1])
    return float(np.mean(best)) if len(best) >= LEAST else None
