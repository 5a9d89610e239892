"""Computes the rotation before a product quantiser from the principal axes of the descriptors."""

import math
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

ENOUGH = 2**15  # descriptors from which the axes are computed


def set_rotation(candidates: faiss.Index, sample: NDArray[np.float32]) -> None:
    """Sets the OPQ matrix at the beginning of an index, if there is one, so that all codes are equally informative.

    The parametric solution of Ge et al., Optimized Product Quantization (CVPR 2013), section 4.2: the principal axes,
    largest first, are each assigned to the code whose axes have the smallest product of variances so far. FAISS's own
    method starts from a random rotation and iterates, which takes many times as long.

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
    """Assigns axes to codes: the order of axes (n,), n / codes for each code in turn. Variances (n,) must descend."""
    room = len(variances) // codes
    logs = np.log(np.maximum(variances, 1e-12))
    logs -= logs[-1]  # none below 0, so that an additional axis never reduces a code's product
    hands: list[list[int]] = [[] for _ in range(codes)]
    products = np.zeros(codes)
    for axis, log in enumerate(logs):
        hand = int(np.argmin(products))
        hands[hand].append(axis)
        products[hand] = np.inf if len(hands[hand]) == room else products[hand] + log
    return np.concatenate(hands).astype(np.int64)
