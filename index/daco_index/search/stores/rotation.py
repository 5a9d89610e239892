"""The rotation before a product quantiser, from the axes along which the descriptors vary."""

import math
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

ENOUGH = 2**15  # descriptors whose axes are taken


def set_rotation(candidates: faiss.Index, sample: NDArray[np.float32]) -> None:
    """Sets the OPQ matrix that an index begins with, if it does, so that each code stands for as much as any other.

    The parametric solution of Ge et al., Optimized Product Quantization (CVPR 2013), section 4.2: the principal axes,
    of which each goes, the largest first, to the code whose axes have the smallest product of variances so far. FAISS's
    own starts from a random rotation and iterates, which take many times as long.

    Args:
        candidates: not trained yet.
        sample: (n, dimension), to be trained on.
    """
    if not isinstance(candidates, faiss.IndexPreTransform):
        return
    chain: Any = candidates.chain
    matrix: Any = faiss.downcast_VectorTransform(chain.at(0))
    if not isinstance(matrix, faiss.OPQMatrix):
        return
    variances, axes = np.linalg.eigh(np.cov(sample[:: math.ceil(len(sample) / ENOUGH)], rowvar=False))
    largest_first = np.argsort(-variances)[: matrix.d_out]
    dealt = deal(variances[largest_first], matrix.M)
    rotation = axes[:, largest_first[dealt]].T.astype(np.float32)
    faiss.copy_array_to_vector(np.ascontiguousarray(rotation).ravel(), matrix.A)
    matrix.is_trained = True


def deal(variances: NDArray[np.float64], codes: int) -> NDArray[np.int64]:
    """The order of axes (n,), n / codes for each code after the other, whose variances (n,) fall."""
    room = len(variances) // codes
    logs = np.log(np.maximum(variances, 1e-12))
    logs -= logs[-1]  # none below 0, so that a code that has an axis never has a smaller product than one without
    hands: list[list[int]] = [[] for _ in range(codes)]
    products = np.zeros(codes)
    for axis, log in enumerate(logs):
        hand = int(np.argmin(products))
        hands[hand].append(axis)
        products[hand] = np.inf if len(hands[hand]) == room else products[hand] + log
    return np.concatenate(hands).astype(np.int64)
