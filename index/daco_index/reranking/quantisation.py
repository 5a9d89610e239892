"""Local descriptors with two bits per number: 16 bytes for a cell of 64 numbers, 4 KB for a photograph of 256 cells.

A cell is rotated, so that its numbers have similar variances, and each number is rounded to one of four levels:

    code = floor(x / STEP) clamped to -2..1        x: a number of the rotated cell, which has length 1
    decoded = (code + 0.5), and the cell is scaled to length 1 again

The rotation is Sylvester's Hadamard matrix, with column signs taken from SHA-256, divided by the square root of the
width: orthonormal, with exactly representable entries, and the same on every machine. A rotation before scalar
quantisation follows Gong et al., "Iterative Quantization", TPAMI 2013, with a random rotation instead of a learned one.
Queries stay in float32; they are only rotated.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import UsageError

STEP = 0.125  # for cells of 64 numbers, whose standard deviation is 1/8
PER_BYTE = 4  # codes in a byte, the first in the lowest bits
SEED = b"daco-serve local descriptors"


@lru_cache(maxsize=4)
def rotation(width: int) -> NDArray[np.float32]:
    """The fixed orthonormal matrix (width, width) by which every cell is multiplied from the right.

    Raises:
        UsageError: the width is not a power of two between 4 and 256.
    """
    if not 4 <= width <= 256 or width & (width - 1):
        raise UsageError(f"Local descriptors must have 4, 8, 16, ... or 256 numbers, not {width}.")
    hadamard = np.ones((1, 1))
    while len(hadamard) < width:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(SEED).digest(), dtype=np.uint8))[:width]
    signs = np.where(bits == 1, 1.0, -1.0)
    matrix: NDArray[np.float32] = (signs[:, None] * hadamard / np.sqrt(width)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def rotate(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotates cells (..., width) of length 1, so that they are comparable with decoded cells."""
    rotated: NDArray[np.float32] = cells @ rotation(cells.shape[-1])
    return rotated


def pack(cells: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cells (..., width) of length 1 to their codes (..., width / 4)."""
    width = cells.shape[-1]
    step = STEP * np.sqrt(64 / width)
    codes = np.clip(np.floor(rotate(cells) / np.float32(step)), -2, 1).astype(np.int8) + 2
    fours = codes.astype(np.uint8).reshape(*cells.shape[:-1], width // PER_BYTE, PER_BYTE)
    packed: NDArray[np.uint8] = fours[..., 0] | fours[..., 1] << 2 | fours[..., 2] << 4 | fours[..., 3] << 6
    return packed


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Codes (..., width / 4) to rotated cells (..., width) of length 1."""
    # four float32 have the size of one complex128, so that NumPy looks up four values at once
    fours = np.take(LEVELS.view(np.complex128)[:, 0], packed, mode="clip")  # clip: no check of the indices' bounds
    cells: NDArray[np.float32] = fours.view(np.float32)
    cells *= (1 / np.sqrt(np.vecdot(cells, cells)))[..., None]
    return cells


def _levels() -> NDArray[np.float32]:
    """The four numbers that each byte encodes: (256, 4)."""
    codes = np.arange(256)[:, None] >> np.array([0, 2, 4, 6]) & 3
    levels: NDArray[np.float32] = (codes - 1.5).astype(np.float32)
    return levels


LEVELS = _levels()
