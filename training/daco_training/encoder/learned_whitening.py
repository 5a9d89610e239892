"""Learned whitening: shortens the directions in which descriptors of the same place differ.

It is fitted to the differences between descriptors of two photographs that show the same place (in another condition,
from another pose). The eigenvectors u_i of their scatter are the directions in which descriptors of a place vary, and
the eigenvalues v_i are the variances. The larger the variance, the more a direction of a descriptor x is shortened:

    y = x - sum_i f_i (u_i . x) u_i        f_i = 1 - 1 / sqrt(1 + STRENGTH v_i / v),    v the mean of the first v_i

This is the learned whitening of Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
TPAMI 2018, section 4.3 (after Mikolajczyk and Matas, "Improving Descriptors for Fast Tree Matching by Optimal Linear
Projection", ICCV 2007), with the scatter shrunk towards the identity: there are fewer pairs than dimensions, and
directions without any difference stay unchanged.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTH = 256  # largest number of directions that are shortened
STRENGTH = 6.0
FIRST = 64  # the mean variance of the first directions scales all variances
NONE = 1e-6  # share of the largest standard deviation, below which a direction is rounding error


class LearnedWhitening(nn.Module):
    """Shortens given directions of descriptors: (n, dimension) to (n, dimension).

    Args:
        dimension: of the descriptors.
        width: number of directions. Each is stored with the length sqrt(f_i).
    """

    directions: Tensor

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        self.register_buffer("directions", torch.zeros(dimension, width))

    def forward(self, descriptors: Tensor) -> Tensor:
        directions = self.directions.float()
        return descriptors - (descriptors @ directions) @ directions.T


def fit_learned_whitening(differences: Sequence[Tensor]) -> LearnedWhitening:
    """Fits a whitening to differences of descriptors of the same place.

    Args:
        differences: (n, dimension) for each set of photographs; all sets have the same weight.
    """
    scaled = [rows.double() / (len(rows) * len(differences)) ** 0.5 for rows in differences]
    _, roots, directions = torch.linalg.svd(torch.cat(scaled), full_matrices=False)
    roots = roots[roots > NONE * roots[0]][:WIDTH]
    variances = roots.square()
    shortened = 1 - (1 + STRENGTH * variances / variances[:FIRST].mean()).rsqrt()
    whitening = LearnedWhitening(directions.shape[1], len(roots))
    whitening.directions.copy_(directions[: len(roots)].T * shortened.sqrt())
    return whitening
