"""How well two photographs agree on one displacement: matches of cells that vote for a shift and a scale.

For a query with cells q_i at a_i and a reference with cells d_j at b_j, all q and d of length 1, a and b in cells from
the middle of the picture:

    S_ij   = q_i . d_j
    j(i)   = argmax_j S_ij                                     the cell that fits best
    w_i    = exp((S_ij(i) - max_i' S_i'j(i)) / TOLERANCE)      1 where that is mutual, less the better others fit it
    vote   = max over s, t of  sum_i w_i G(b_j(i) - s a_i - t)

over the five SCALES s and all shifts t of whole cells, with G a Gaussian of height 1 and BLUR cells. Cells that agree
on a shift and a scale add up, so the vote counts cells; similarity itself has no part in it.

Sources: mutual nearest cells and a score from their displacement are Patch-NetVLAD's rapid spatial scoring (Hausler et
al., CVPR 2021, section 3.4); that matches vote in a space of transformations is Hough's idea as Lowe uses it for
objects ("Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004, section 7.3); local descriptors from
the map that the global one is pooled of are DELG's (Cao, Araujo, Sim, ECCV 2020).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SCALES = (0.7, 0.85, 1.0, 1.18, 1.43)
TOLERANCE = 0.05  # of similarity, by which another cell may fit better before a match's weight falls to 1/e
BLUR_ROWS, BLUR_COLUMNS = 0.8, 2.0  # standard deviations in cells: cameras turn and step aside more than they nod
LEAST_STRENGTH = 0.1  # from which a match is reported as one of those that agree


@dataclass(frozen=True)
class Grid:
    """The cells of a picture: so many rows of so many columns, numbered row by row."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    def centres(self) -> NDArray[np.float32]:
        """The middle of each cell from the middle of the picture, in cells: (cells, 2), row and column."""
        row, column = np.divmod(np.arange(self.cells), self.columns)
        return np.stack([row - (self.rows - 1) / 2, column - (self.columns - 1) / 2], axis=1).astype(np.float32)

    def every_second(self) -> NDArray[np.intp]:
        """The black fields of a chessboard, but for the first and the last row where there are others: (m,)."""
        row, column = np.divmod(np.arange(self.cells), self.columns)
        inside = (row > 0) & (row < self.rows - 1) if self.rows > 2 else np.ones(self.cells, dtype=bool)
        return np.flatnonzero(inside & ((row + column) % 2 == 0))


@dataclass(frozen=True)
class CellMatch:
    """A cell of the query and the one of the reference that agrees, as fractions of the picture from the top left.

    `strength` is from 0 to 1: how mutual the match is, times how near it is to the winning displacement.
    """

    query_x: float
    query_y: float
    reference_x: float
    reference_y: float
    strength: float


@dataclass(frozen=True)
class Votes:
    """What n references got.

    Args:
        votes: (n,), float32: cells that agree on one displacement.
        shares: (n,), float32: the vote's part of all that matched, 0 to 1.
    """

    votes: NDArray[np.float32]
    shares: NDArray[np.float32]


def vote(
    query: NDArray[np.float32],
    references: NDArray[np.float32],
    grid: Grid,
    positions: NDArray[np.uint8] | None = None,
    asking: NDArray[np.intp] | None = None,
) -> Votes:
    """The votes of references for a query.

    Args:
        query: (cells, width), rotated, of length 1, row by row.
        references: (n, kept, width), likewise.
        positions: (n, kept), which cells of the grid those are; None where all are there.
        asking: (m,), the cells of the query that vote; None for all. The votes are scaled as if all did.
    """
    if not len(references):
        return Votes(np.zeros(0, np.float32), np.zeros(0, np.float32))
    if asking is None:
        asking = np.arange(grid.cells)
    cells, weights = _match(query[asking], references, positions)
    votes = _planes(asking, cells, weights, grid).max(axis=0).reshape(len(references), -1).max(axis=1)
    shares = votes / np.maximum(weights.sum(axis=0), np.float32(1e-6))
    return Votes(votes * np.float32(grid.cells / len(asking)), shares)


def matched_cells(
    query: NDArray[np.float32],
    reference: NDArray[np.float32],
    grid: Grid,
    positions: NDArray[np.uint8] | None = None,
) -> list[CellMatch]:
    """The matches that agree on the displacement with the most votes, the strongest first.

    Args: as `vote`, for one reference (kept, width).
    """
    cells, weights = _match(query, reference[None], None if positions is None else positions[None])
    everyone = np.arange(grid.cells)
    planes = _planes(everyone, cells, weights, grid)
    row, scale, column = np.unravel_index(int(planes.argmax()), planes.shape)
    rows, columns = _bins(grid)
    away_rows = (rows[everyone, cells[:, 0], scale] - row) / BLUR_ROWS
    away_columns = (columns[everyone, cells[:, 0], scale] - column) / BLUR_COLUMNS
    nearness = np.exp(-(away_rows**2 + away_columns**2) / 2)
    strengths = nearness * weights[:, 0]
    agreeing = np.flatnonzero(strengths >= LEAST_STRENGTH)
    order = agreeing[np.argsort(-strengths[agreeing], kind="stable")].tolist()
    return [
        CellMatch(*_middle(grid, cell), *_middle(grid, int(cells[cell, 0])), round(float(strengths[cell]), 4))
        for cell in order
    ]


def _middle(grid: Grid, cell: int) -> tuple[float, float]:
    """The middle of a cell as fractions of the picture: x, y."""
    row, column = divmod(cell, grid.columns)
    return (column + 0.5) / grid.columns, (row + 0.5) / grid.rows


def _match(
    query: NDArray[np.float32], references: NDArray[np.float32], positions: NDArray[np.uint8] | None
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The cell of each reference that fits each of the query best, and the match's weight: (cells, n) both."""
    count, kept, width = references.shape
    similarities = (query @ references.reshape(-1, width).T).reshape(len(query), count, kept)
    nearest = similarities.argmax(axis=2)
    best = np.take_along_axis(similarities, nearest[..., None], axis=2)[..., 0]
    number = np.arange(count)
    best_other_way = similarities.max(axis=0)[number, nearest]
    weights: NDArray[np.float32] = np.exp((best - best_other_way) / np.float32(TOLERANCE))
    return (nearest if positions is None else positions[number, nearest].astype(np.intp)), weights


def _planes(
    asking: NDArray[np.intp], cells: NDArray[np.intp], weights: NDArray[np.float32], grid: Grid
) -> NDArray[np.float32]:
    """The blurred votes for each shift, of each reference at each scale: (rows, n x scales, columns)."""
    row_bins, column_bins = _bins(grid)
    rows, columns = _plane_shape(grid)
    count = cells.shape[1]
    planes = count * len(SCALES)
    plane = np.arange(planes, dtype=np.int32).reshape(count, len(SCALES))
    voters = asking[:, None]
    flat = (row_bins[voters, cells] * planes + plane) * columns + column_bins[voters, cells]
    sums = np.bincount(flat.ravel(), np.repeat(weights, len(SCALES)), minlength=rows * planes * columns)
    across = (sums.astype(np.float32).reshape(-1, columns) @ _blur(columns)).reshape(rows, planes, columns)
    blurred = across.copy()
    for apart in range(1, math.ceil(3 * BLUR_ROWS)):  # few rows count, so that adding them is less work than a product
        height = np.float32(math.exp(-((apart / BLUR_ROWS) ** 2) / 2))
        weighted = height * across
        blurred[apart:] += weighted[:-apart]
        blurred[:-apart] += weighted[apart:]
    return blurred


def _plane_shape(grid: Grid) -> tuple[int, int]:
    """Rows and columns of the plane of shifts: as far as a picture is wide, and one cell more, either way."""
    return 2 * grid.rows + 3, 2 * grid.columns + 3


@lru_cache(maxsize=4)
def _bins(grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where a match of two cells votes, by query cell, reference cell and scale: rows and columns of the plane.

    Both are (cells, cells, scales). A shift beyond the plane's edge goes to the edge.
    """
    centres = grid.centres()
    scales = np.array(SCALES, dtype=np.float32)
    shifts = np.rint(centres[None, :, None, :] - scales[:, None] * centres[:, None, None, :]).astype(np.int32)
    rows, columns = _plane_shape(grid)
    return (
        np.clip(shifts[..., 0] + rows // 2, 0, rows - 1),
        np.clip(shifts[..., 1] + columns // 2, 0, columns - 1),
    )


@lru_cache(maxsize=4)
def _blur(columns: int) -> NDArray[np.float32]:
    """The matrix (columns, columns) that blurs across, of height 1."""
    apart = np.arange(columns)[:, None] - np.arange(columns)
    blur: NDArray[np.float32] = np.exp(-((apart / BLUR_COLUMNS) ** 2) / 2).astype(np.float32)
    return blur
