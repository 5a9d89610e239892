"""Finds pairs of similar photographs in an index, which a reconstruction program can match."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry

ROWS = 2048  # photographs that are looked up at once


class NearestPair(NamedTuple):
    """A photograph and one that is similar to it; the similarity is the cosine of their descriptors."""

    photograph: Entry
    like: Entry
    similarity: float


def nearest_pairs(bundle: Bundle, count: int) -> Iterator[NearestPair]:
    """For each photograph, in order of ids, the `count` others with the most similar descriptors, best first."""
    entries = bundle.catalog.all()
    by_id = {entry.id: entry for entry in entries}
    for block, vectors in descriptors_of(bundle, ROWS):
        similarities, found = bundle.store.search(vectors, min(count + 1, bundle.store.count))
        for entry, values, ids in zip(block, similarities.tolist(), found.tolist(), strict=True):
            others = [
                (number, value) for number, value in zip(ids, values, strict=True) if number >= 0 and number != entry.id
            ]
            for number, value in others[:count]:
                yield NearestPair(entry, by_id[number], min(value, 1.0))


def descriptors_of(bundle: Bundle, rows: int) -> Iterator[tuple[list[Entry], NDArray[np.float32]]]:
    """The entries in order of ids, in blocks, with their descriptors (n, dimension)."""
    entries = bundle.catalog.all()
    for start in range(0, len(entries), rows):
        block = entries[start : start + rows]
        yield block, bundle.store.vectors(np.array([entry.id for entry in block], dtype=np.int64))
