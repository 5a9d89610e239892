"""The local descriptors of a generation: one file, of which a query reads only the rows of its candidates.

The format of the file; all numbers are little-endian:

    8 bytes     MAGIC
    5 x u32     rows and columns of the grid, numbers in a cell (width), cells kept for each photograph, 0
    u64         photographs (n)
    n x i64     their ids, ascending
    n x kept    the kept cells, u8 each; only if not all are kept
    n x kept x width / 4    their codes, see `quantisation.pack`

The generation's manifest has its hash, so only the structure is checked here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DamagedIndex, UsageError, reason_of
from daco_index.reranking.quantisation import PER_BYTE, pack, unpack
from daco_index.reranking.voting import Grid
from daco_index.search.held_file import HeldFile

LOCAL_FILE = "local.bin"
MAGIC = b"DACOLOC1"
HEADER = np.dtype([("magic", "S8"), ("form", "<u4", (5,)), ("count", "<u8")])
LOCAL_WIDTH = 64  # numbers that an engine returns for each cell
SMALL_SHARE = 2  # the small form keeps one cell of this many
ID_BYTES = 8
HELD_BYTES = 4 * 2**20  # files up to this size are kept in memory: 1024 photographs with all cells
MOST_GRID_CELLS = 2**12
MOST_CELLS = 256  # cell numbers that fit in a byte


@dataclass(frozen=True)
class LocalForm:
    """The form in which local descriptors are stored: the grid, the numbers in a cell, and how many cells are kept."""

    grid: Grid
    width: int
    kept: int

    @property
    def keeps_all(self) -> bool:
        """Whether every cell is kept."""
        return self.kept == self.grid.cells

    @property
    def code_bytes(self) -> int:
        """The size of a photograph's codes."""
        return self.kept * self.width // PER_BYTE

    @property
    def row_bytes(self) -> int:
        """The size of a photograph's row: the numbers of the kept cells, if not all are kept, then their codes."""
        return self.code_bytes + (0 if self.keeps_all else self.kept)

    @classmethod
    def of(cls, grid: Grid, width: int, small: bool = False) -> "LocalForm":
        """The form for an encoder's local descriptors; `small` keeps half of the cells.

        Raises:
            UsageError: it keeps half of more cells than a byte can number.
        """
        if small and grid.cells > MOST_CELLS:
            raise UsageError(
                f"--small-local supports at most {MOST_CELLS} cells, and this encoder has {grid.rows} x"
                f" {grid.columns}: omit it to store all of them, or use --no-local."
            )
        return cls(grid, width, grid.cells // SMALL_SHARE if small else grid.cells)

    def encode(self, cells: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Local descriptors (n, cells, width) of length 1 to rows (n, row_bytes).

        If only some cells are kept, they are those least similar to the mean of their photograph: sky, road and plain
        walls look much the same everywhere, and match anywhere.
        """
        if self.keeps_all:
            return pack(cells).reshape(len(cells), -1)
        likeness = np.einsum("ncw,nw->nc", cells, cells.mean(axis=1))
        positions = np.sort(np.argsort(likeness, axis=1, kind="stable")[:, : self.kept], axis=1)
        codes = pack(np.take_along_axis(cells, positions[..., None], axis=1))
        return np.concatenate([positions.astype(np.uint8), codes.reshape(len(cells), -1)], axis=1)

    def decode(self, rows: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Rows (n, row_bytes) to rotated cells (n, kept, width), and their numbers; None for these if all are kept."""
        positions = None if self.keeps_all else rows[:, : self.kept]
        codes = rows if positions is None else rows[:, self.kept :]
        return unpack(codes.reshape(len(rows), self.kept, self.width // PER_BYTE)), positions


class LocalFile:
    """The local descriptors in a finished file; any number of threads may read.

    Raises:
        DamagedIndex: it is missing, or has another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            header = np.fromfile(path, dtype=HEADER, count=1)
            if len(header) != 1 or header["magic"][0] != MAGIC:
                raise DamagedIndex(f"{path} is not a file of local descriptors.")
            rows, columns, width, kept, _ = map(int, header["form"][0])
            count = int(header["count"][0])
            if not (1 <= rows * columns <= MOST_GRID_CELLS and 1 <= kept <= rows * columns):
                raise DamagedIndex(f"{path} has {kept} cells of a grid of {rows} x {columns}, which is impossible.")
            if width == 0 or width % PER_BYTE:
                raise DamagedIndex(f"{path} has cells of {width} numbers, which is impossible.")
            self.form = LocalForm(Grid(rows, columns), width, kept)
            self.file = HeldFile(path)
            self._start = HEADER.itemsize + count * ID_BYTES
            if self.file.stamp.size != self._start + count * self.form.row_bytes:
                raise DamagedIndex(f"{path} does not have the length that its header implies.")
            self._ids: NDArray[np.int64] = np.fromfile(path, dtype="<i8", count=count, offset=HEADER.itemsize)
            size = count * self.form.row_bytes
            whole = np.zeros(1, dtype=np.int64)
            # in memory, because twenty reads double the time of re-ranking, even from the system's cache
            self._held = self.file.rows(self._start, size, whole).reshape(count, -1) if 0 < size <= HELD_BYTES else None
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"{path} cannot be read as local descriptors: {reason_of(error)}.") from error

    @property
    def count(self) -> int:
        """The number of photographs."""
        return len(self._ids)

    def ids(self) -> NDArray[np.int64]:
        """The ids of the photographs: (count,), ascending."""
        return self._ids

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The rows of ids (n,): (n, row_bytes).

        Raises:
            KeyError: an id is not in the file.
            DamagedIndex: the file was changed since it was opened, or cannot be read.
        """
        places = np.searchsorted(self._ids, ids)
        there = places < self.count
        there[there] = self._ids[places[there]] == ids[there]
        if not there.all():
            raise KeyError(int(ids[~there][0]))
        if self._held is not None:
            self.file.check()  # fails if the file was changed: then the index is not trusted, whatever is in memory
            return self._held[places]
        return self.file.rows(self._start, self.form.row_bytes, places)


def write_local_file(path: Path, form: LocalForm, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.uint8]]) -> None:
    """Writes the rows of n photographs with ascending ids, in blocks of (some, row_bytes), n rows in all.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    header = np.zeros(1, dtype=HEADER)
    header["magic"], header["count"] = MAGIC, len(ids)
    header["form"] = (form.grid.rows, form.grid.columns, form.width, form.kept, 0)
    with path.open("wb") as stream:
        stream.write(header.tobytes())
        stream.write(ids.astype("<i8").tobytes())
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype=np.uint8).tobytes())
