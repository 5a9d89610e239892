"""Re-ranks the first candidates of a search by global similarity and by votes of matched cells.

    score = similarity + VOTE_WEIGHT x vote

VOTE_WEIGHT was chosen by the mean over many sets (docs/lab-notes/encoder.md). With descriptors that have a learned
whitening the similarity itself says more, and a larger weight loses where the camera has moved.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_index.reranking.local_file import LocalFile
from daco_index.reranking.quantisation import rotate
from daco_index.reranking.voting import AT_ONCE, CellMatch, Grid, Votes, matched_cells, vote, vote_in_parts

VOTE_WEIGHT = 0.01


@dataclass(frozen=True)
class LocalQuery:
    """The local descriptors of a query, ready to be compared: (cells, width), rotated, of length 1.

    Only every second cell votes, which takes half the time with the same recall. The alternative of letting the cells
    vote that are least similar to the rest of their photograph reduced recall where places look alike.
    """

    cells: NDArray[np.float32]

    @classmethod
    def of(cls, local: NDArray[np.float32]) -> "LocalQuery":
        """From the local descriptors of one photograph as an engine returns them: (cells, width), of length 1."""
        return cls(rotate(local))

    def votes(self, references: LocalFile, ids: NDArray[np.int64]) -> Votes:
        """The votes for references with ids (n,). Raises KeyError for an id without local descriptors."""
        form, rows = references.form, references.rows(ids)
        # decoded a few at a time, so that they are compared while they are in the core's cache
        parts = (form.decode(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE))
        return vote_in_parts(self.cells, parts, form.grid, form.grid.every_second())

    def compare(self, references: NDArray[np.float32], grid: Grid, positions: NDArray[np.uint8] | None = None) -> Votes:
        """The votes of references whose cells are given; see `vote` for the arguments."""
        return vote(self.cells, references, grid, positions, grid.every_second())

    def matched_cells(self, references: LocalFile, number: int) -> list[CellMatch]:
        """The cells that agree with those of the reference under an id, strongest match first."""
        decoded, positions = references.form.decode(references.rows(np.array([number], dtype=np.int64)))
        kept = None if positions is None else positions[0]
        return matched_cells(self.cells, decoded[0], references.form.grid, kept)
