"""Measures how well two photographs agree on one displacement: matched cells vote for a shift and a scale.

For a query with cells q_i at a_i and a reference with cells d_j at b_j, where all q and d have length 1, and a and b
are measured in cells from the middle of the image:

    S_ij   = q_i . d_j
    j(i)   = argmax_j S_ij                                     the best matching cell
    w_i    = exp((S_ij(i) - max_i' S_i'j(i)) / TOLERANCE)      1 if the match is mutual, less the better others match
    vote   = max over s, t of  sum_i w_i G(b_j(i) - s a_i - t)

over the five SCALES s and all shifts t of whole cells, with G a Gaussian of height 1 and standard deviation BLUR cells.
Cells that agree on a shift and a scale add up, so the vote counts cells; the similarity itself is not part of it.

Sources: mutual nearest cells and a score from their displacement are Patch-NetVLAD's rapid spatial scoring (Hausler et
al., CVPR 2021, section 3.4). Voting of matches in a space of transformations is the Hough transform, used for objects
by Lowe ("Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004, section 7.3). Local descriptors from
the feature map that the global descriptor is pooled from are those of DELG (Cao, Araujo, Sim, ECCV 2020).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SCALES = (0.7, 0.85, 1.0, 1.18, 1.43)
TOLERANCE = 0.05  # if another cell is more similar by this, the match has 1/e of the weight
BLUR_ROWS, BLUR_COLUMNS = 0.8, 2.0  # standard deviations in cells; displacements are mostly horizontal
LEAST_STRENGTH = 0.1  # least strength of a match that is reported as agreeing
AT_ONCE = 5  # references whose similarities are computed together: half a megabyte, which fits a core's cache
NEGLIGIBLE = 1e-20  # smaller values of the blur become 0: products with subnormal numbers are a hundred times as slow


@dataclass(frozen=True)
class Grid:
    """The cells of an image: a number of rows and columns, numbered row by row."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    def centres(self) -> NDArray[np.float32]:
        """The middle of each cell relative to the middle of the image, in cells: (cells, 2), row and column."""
        row, column = np.divmod(np.arange(self.cells), self.columns)
        return np.stack([row - (self.rows - 1) / 2, column - (self.columns - 1) / 2], axis=1).astype(np.float32)

    def every_second(self) -> NDArray[np.intp]:
        """Every second cell, as on a chessboard, without the first and last row if there are others: (m,)."""
        return _every_second(self)


@dataclass(frozen=True)
class CellMatch:
    """A cell of the query and the matching cell of the reference, as fractions of the image from the top left.

    `strength`, from 0 to 1, is the weight of the match times its closeness to the displacement with the most votes.
    """

    query_x: float
    query_y: float
    reference_x: float
    reference_y: float
    strength: float


@dataclass(frozen=True)
class Votes:
    """The votes of n references.

    Args:
        votes: (n,), float32: number of cells that agree on one displacement.
        shares: (n,), float32: the vote divided by the weight of all matches, 0 to 1.
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
        positions: (n, kept), the numbers of these cells in the grid; None if all cells are given.
        asking: (m,), the cells of the query that vote; None for all. The votes are scaled as if all cells voted.
    """
    parts = (
        (references[some], None if positions is None else positions[some])
        for some in (slice(start, start + AT_ONCE) for start in range(0, len(references), AT_ONCE))
    )
    return vote_in_parts(query, parts, grid, asking)


def vote_in_parts(
    query: NDArray[np.float32],
    parts: Iterable[tuple[NDArray[np.float32], NDArray[np.uint8] | None]],
    grid: Grid,
    asking: NDArray[np.intp] | None = None,
) -> Votes:
    """The same as `vote`, for references and positions in parts, ideally of AT_ONCE references each."""
    if asking is None:
        asking = np.arange(grid.cells)
    voters = query[asking]
    matches = [_match(voters, *part) for part in parts]
    if not matches:
        return Votes(np.zeros(0, np.float32), np.zeros(0, np.float32))
    cells, weights = (np.concatenate(several) for several in zip(*matches, strict=True))
    rows, columns = _plane_shape(grid)
    planes = _planes(asking, cells, weights, grid).reshape(columns, -1)
    # the maximum along the longest axis first, which is several times as fast
    votes = planes.max(axis=0).reshape(rows, -1).max(axis=0).reshape(len(cells), -1).max(axis=1)
    shares = votes / np.maximum(weights.sum(axis=1), np.float32(1e-6))
    return Votes(votes * np.float32(grid.cells / len(asking)), shares)


def matched_cells(
    query: NDArray[np.float32],
    reference: NDArray[np.float32],
    grid: Grid,
    positions: NDArray[np.uint8] | None = None,
) -> list[CellMatch]:
    """The matches that agree on the displacement with the most votes, strongest first.

    Args: as `vote`, for one reference (kept, width).
    """
    cells, weights = _match(query, reference[None], None if positions is None else positions[None])
    everyone = np.arange(grid.cells)
    field, scale = divmod(int(_planes(everyone, cells, weights, grid).argmax()), len(SCALES))
    rows, _ = _plane_shape(grid)
    column, row = divmod(field, rows)
    columns_of, rows_of = np.divmod(_fields(grid)[everyone, cells[0], scale], rows)
    away_rows, away_columns = (rows_of - row) / BLUR_ROWS, (columns_of - column) / BLUR_COLUMNS
    nearness = np.exp(-(away_rows**2 + away_columns**2) / 2)
    strengths = nearness * weights[0]
    agreeing = np.flatnonzero(strengths >= LEAST_STRENGTH)
    order = agreeing[np.argsort(-strengths[agreeing], kind="stable")].tolist()
    return [
        CellMatch(*_middle(grid, cell), *_middle(grid, int(cells[0, cell])), round(float(strengths[cell]), 4))
        for cell in order
    ]


def _middle(grid: Grid, cell: int) -> tuple[float, float]:
    """The middle of a cell as fractions of the image: x, y."""
    row, column = divmod(cell, grid.columns)
    return (column + 0.5) / grid.columns, (row + 0.5) / grid.rows


def _match(
    query: NDArray[np.float32], references: NDArray[np.float32], positions: NDArray[np.uint8] | None
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each query cell, (m, width), the most similar cell of each reference, and the match's weight: both (n, m)."""
    count, kept, _ = references.shape
    similarities = query @ references.transpose(0, 2, 1)
    cells = similarities.argmax(axis=2)
    # one flat `take`: `take_along_axis` takes several times as long
    best = similarities.take(cells + kept * np.arange(cells.size).reshape(cells.shape))
    best_other_way = similarities.max(axis=1).take(cells + kept * np.arange(count)[:, None])
    weights: NDArray[np.float32] = np.exp((best - best_other_way) / np.float32(TOLERANCE))
    return (cells if positions is None else np.take_along_axis(positions, cells, axis=1).astype(np.intp)), weights


def _planes(
    asking: NDArray[np.intp], cells: NDArray[np.intp], weights: NDArray[np.float32], grid: Grid
) -> NDArray[np.float32]:
    """The blurred votes for each shift, of each reference at each scale: (columns x rows, n x scales)."""
    rows, columns = _plane_shape(grid)
    count = len(cells)
    planes = count * len(SCALES)
    bins = _fields(grid).reshape(-1, len(SCALES)).take(asking * grid.cells + cells, axis=0, mode="clip")
    bins *= planes
    bins += np.arange(planes, dtype=np.int32).reshape(count, 1, len(SCALES))
    sums = np.zeros(columns * rows * planes, dtype=np.float32)
    np.add.at(sums, bins.ravel(), np.repeat(weights, len(SCALES)))
    across = _blur(columns, BLUR_COLUMNS, columns) @ sums.reshape(columns, -1)
    blurred = _blur(rows, BLUR_ROWS, math.ceil(3 * BLUR_ROWS)) @ across.reshape(columns, rows, planes)
    return blurred.reshape(-1, planes)


def _plane_shape(grid: Grid) -> tuple[int, int]:
    """Rows and columns of the plane of shifts: up to the image's size plus one cell in each direction."""
    return 2 * grid.rows + 3, 2 * grid.columns + 3


@lru_cache(maxsize=4)
def _fields(grid: Grid) -> NDArray[np.int32]:
    """Where a match of two cells votes, by query cell, reference cell and scale: (cells, cells, scales).

    Fields of the plane are numbered column by column. A shift beyond the plane's edge goes to the edge.
    """
    centres = grid.centres()
    scales = np.array(SCALES, dtype=np.float32)
    shifts = np.rint(centres[None, :, None, :] - scales[:, None] * centres[:, None, None, :]).astype(np.int32)
    rows, columns = _plane_shape(grid)
    row = np.clip(shifts[..., 0] + rows // 2, 0, rows - 1)
    fields: NDArray[np.int32] = np.clip(shifts[..., 1] + columns // 2, 0, columns - 1) * np.int32(rows) + row
    fields.setflags(write=False)
    return fields


@lru_cache(maxsize=4)
def _every_second(grid: Grid) -> NDArray[np.intp]:
    row, column = np.divmod(np.arange(grid.cells), grid.columns)
    inside = (row > 0) & (row < grid.rows - 1) if grid.rows > 2 else np.ones(grid.cells, dtype=bool)
    cells = np.flatnonzero(inside & ((row + column) % 2 == 0))
    cells.setflags(write=False)
    return cells


@lru_cache(maxsize=8)
def _blur(length: int, deviation: float, reach: int) -> NDArray[np.float32]:
    """The matrix (length, length) that blurs by a Gaussian of height 1, which ends before `reach`."""
    apart = np.abs(np.arange(length)[:, None] - np.arange(length))
    heights = np.exp(-((apart / deviation) ** 2) / 2)
    blur: NDArray[np.float32] = np.where((apart < reach) & (heights > NEGLIGIBLE), heights, 0).astype(np.float32)
    blur.setflags(write=False)
    return blur
