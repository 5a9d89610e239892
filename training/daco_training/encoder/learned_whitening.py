"""Learned whitening: descriptors lose what differs between photographs of one place.

Of pairs of photographs that show the same place (in another condition, from another pose), the differences of their
descriptors x span the directions u_i in which a place varies, by the variances v_i (the eigenvectors and eigenvalues of
their scatter). Each direction is shortened the more the larger its variance is:

    y = x - sum_i f_i (u_i . x) u_i        f_i = 1 - 1 / sqrt(1 + STRENGTH v_i / v),    v the mean of the first v_i

This is the learned whitening of Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
TPAMI 2018, section 4.3 (after Mikolajczyk and Matas, "Improving Descriptors for Fast Tree Matching by Optimal Linear
Projection", ICCV 2007), whose scatter is shrunk towards the identity: there are fewer pairs than dimensions, and what
never differed in them stays as it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTH = 256  # directions that are shortened, at most
STRENGTH = 6.0
FIRST = 64  # directions whose mean variance is the measure of the others
NONE = 1e-6  # of the greatest standard deviation: what is below it is rounding


class LearnedWhitening(nn.Module):
    """Shortens given directions of descriptors: (n, dimension) to (n, dimension).

    Args:
        dimension: of the descriptors.
        width: how many directions; each is stored with the root of f_i as its length.
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
        differences: (n, dimension) of each set of photographs; all sets count alike.
    """
    scaled = [rows.double() / (len(rows) * len(differences)) ** 0.5 for rows in differences]
    _, roots, directions = torch.linalg.svd(torch.cat(scaled), full_matrices=False)
    roots = roots[roots > NONE * roots[0]][:WIDTH]
    variances = roots.square()
    shortened = 1 - (1 + STRENGTH * variances / variances[:FIRST].mean()).rsqrt()
    whitening = LearnedWhitening(directions.shape[1], len(roots))
    whitening.directions.copy_(directions[: len(roots)].T * shortened.sqrt())
    return whitening
