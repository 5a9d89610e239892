"""The references of an index as the states of a filter: their positions and neighbours."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.natural_order import natural_key
from daco_core.photographs.plane import degrees_from, metres_from
from daco_index.search.catalog import Entry

CELL_METRES = 25.0  # side of a cell of the grid in which neighbours are looked up
MOST_PAIRS = 300_000  # pairs of a state and a neighbour in one step, so that a step takes milliseconds
SAMPLE = 2000  # states from which the typical distance between references is computed
APART_METRES = 1e8  # distance between frames that are not comparable; larger than any distance on the earth
LEAST_SPACING = 2.0  # metres: the best accuracy of photographs' positions

Rows = NDArray[np.int64]


class States:
    """References as states, identified by their rows; positions are metres east and north of the mean position.

    References that have a local position only use x and y of their frame instead. Each such frame is placed so far from
    the others and from the earth that no motion leads there.

    Args:
        entries: of the references. If fewer than half of them have a position, the neighbours are those that follow
            each other in the natural order of their paths.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.count = len(entries)
        self.ids = np.array([entry.id for entry in entries], dtype=np.int64)
        self._by_id = np.argsort(self.ids)
        self.places = [entry.place for entry in entries]
        self.latitude = _column([entry.latitude for entry in entries])
        self.longitude = _column([entry.longitude for entry in entries])
        self.heading = _column([entry.heading for entry in entries])
        self.altitude = _column([entry.altitude for entry in entries])
        self.local = np.array([_column([entry.x, entry.y, entry.z]) for entry in entries]).reshape(-1, 3)
        self.frames = [entry.frame for entry in entries]
        self.floors = [entry.floor for entry in entries]
        located = ~np.isnan(self.latitude)
        self._origin = (
            (float(self.latitude[located].mean()), float(self.longitude[located][0])) if located.any() else (0.0, 0.0)
        )
        self.east, self.north = metres_from(self._origin, self.latitude, self.longitude)
        # 0 is the earth, or no position; further numbers are local frames without an anchor
        self.worlds = np.zeros(self.count, dtype=np.int64)
        names = {frame: number for number, frame in enumerate(sorted({frame for frame in self.frames if frame}), 1)}
        for row in np.flatnonzero(~located).tolist():
            if (frame := self.frames[row]) is not None:
                self.worlds[row] = names[frame]
                self.east[row] = self.local[row, 0] + names[frame] * APART_METRES
                self.north[row] = self.local[row, 1]
        self.has_positions = bool((~np.isnan(self.east)).sum() * 2 > self.count)
        self._paths = [entry.path for entry in entries]

    @cached_property
    def in_order(self) -> Rows:
        """The rows in the natural order of their paths."""
        return np.array(sorted(range(self.count), key=lambda row: natural_key(self._paths[row])), dtype=np.int64)

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """For each row, its place in the natural order of the paths."""
        rank = np.empty(self.count, dtype=np.int64)
        rank[self.in_order] = np.arange(self.count)
        return rank

    def rows_of(self, ids: NDArray[np.int64]) -> Rows:
        """The rows of references with these ids."""
        return self._by_id[np.searchsorted(self.ids, ids, sorter=self._by_id)]

    def degrees(self, east: float, north: float) -> tuple[float, float]:
        """Latitude and longitude of a point in metres."""
        return degrees_from(self._origin, east, north)

    @cached_property
    def spacing(self) -> float:
        """The median distance in metres from a reference to the nearest one at another spot, over a sample."""
        located = np.flatnonzero(~np.isnan(self.east))
        rows = located[:: max(1, len(located) // SAMPLE)]
        for metres in (CELL_METRES, 4 * CELL_METRES, 16 * CELL_METRES):
            source, target = self.within(rows, metres)
            away = self.distances(rows[source], target)
            apart = away >= LEAST_SPACING  # several views from the same spot are not counted
            nearest = np.full(len(rows), np.inf)
            np.minimum.at(nearest, source[apart], away[apart])
            if np.isfinite(nearest).sum() * 2 > len(rows):
                return float(np.median(nearest[np.isfinite(nearest)]))
        return 4 * CELL_METRES

    def bounds(self, row: int) -> tuple[float, float, float, float]:
        """The minimum and maximum of metres east, then north, of the references comparable with a row."""
        same = self.worlds == self.worlds[row]
        east, north = self.east[same], self.north[same]
        return float(np.nanmin(east)), float(np.nanmax(east)), float(np.nanmin(north)), float(np.nanmax(north))

    def distances(self, rows: Rows, others: Rows) -> NDArray[np.float64]:
        """Metres between references, pair by pair."""
        metres: NDArray[np.float64] = np.hypot(
            self.east[others] - self.east[rows], self.north[others] - self.north[rows]
        )
        return metres

    def within(self, rows: Rows, metres: float) -> tuple[NDArray[np.int64], Rows]:
        """For some references, all references within a distance, including themselves.

        If there are more than MOST_PAIRS pairs, the first rows take precedence.

        Returns:
            For each pair, the position of its first in `rows`, and the row of its second.
        """
        across, along, sorted_rows, keys, width = self._grid
        rings = int(np.ceil(metres / CELL_METRES))
        steps = np.arange(-rings, rings + 1)
        known = np.flatnonzero(~np.isnan(self.east[rows]))
        column = across[rows[known], None] + steps[None]
        first = np.searchsorted(keys, column * width + np.maximum(along[rows[known], None] - rings, 0))
        last = np.searchsorted(keys, column * width + np.minimum(along[rows[known], None] + rings, width - 1), "right")
        inside = column >= 0
        counts = np.where(inside, last - first, 0)
        keep = np.cumsum(counts.sum(axis=1)) <= MOST_PAIRS
        keep[:1] = True
        first, counts, known = first[keep], counts[keep], known[keep]
        source = np.repeat(known, counts.sum(axis=1))
        flat = counts.ravel()
        begins = np.repeat(first.ravel() - np.concatenate([[0], np.cumsum(flat)[:-1]]), flat)
        target = sorted_rows[begins + np.arange(flat.sum())]
        near = self.distances(rows[source], target) <= metres
        return source[near], target[near]

    def following(self, rows: Rows, steps: Sequence[int]) -> tuple[NDArray[np.int64], Rows, NDArray[np.int64]]:
        """The references that are so many places later in the sequence, if they exist.

        Returns:
            For each pair, the position of its first in `rows`, the row of its second, and the position of its step.
        """
        rank = self.rank[rows, None] + np.array(steps)[None]
        source, which = np.nonzero((rank >= 0) & (rank < self.count))
        return source, self.in_order[rank[source, which]], which

    @cached_property
    def _grid(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Rows, NDArray[np.int64], int]:
        """Each row's grid cell east and north; the located rows sorted by cell, their keys, and cells in a column."""
        located = np.flatnonzero(~np.isnan(self.east))
        across = np.zeros(self.count, dtype=np.int64)
        along = np.zeros(self.count, dtype=np.int64)
        if len(located):
            across[located] = np.floor((self.east[located] - self.east[located].min()) / CELL_METRES)
            along[located] = np.floor((self.north[located] - self.north[located].min()) / CELL_METRES)
        width = int(along.max(initial=0)) + 1
        keys = across[located] * width + along[located]
        order = np.argsort(keys, kind="stable")
        return across, along, located[order], keys[order], width


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
