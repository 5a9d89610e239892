"""SimCLR: two views of an image attract each other; all other views in the batch repel."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent, the normalised temperature-scaled cross entropy: the mean over all 2n views z, each with positive z+, of

        -log(exp(z . z+ / temperature) / sum of exp(z . k / temperature) over the 2n - 1 other views k)

    Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
    ICML 2020, eq. 1, https://arxiv.org/abs/2002.05709.

    Args:
        first: (n, c) L2-normalised projections of one view of each image.
        second: (n, c) L2-normalised projections of the other view; row i is the positive of row i of `first`.
        temperature: divides the similarities.

    Returns:
        A scalar.

    Examples:
        >>> alike = nt_xent(torch.eye(4), torch.eye(4), temperature=0.1)
        >>> swapped = nt_xent(torch.eye(4), torch.eye(4).flip(0), temperature=0.1)
        >>> bool(alike < 0.01 < swapped)
        True
    """
    rows = torch.cat([first, second]).float()
    similarities = rows @ rows.T / temperature
    similarities = similarities.masked_fill(torch.eye(len(rows), dtype=torch.bool, device=rows.device), float("-inf"))
    positives = torch.arange(len(rows), device=rows.device).roll(len(first))
    return functional.cross_entropy(similarities, positives)


class SimCLR(Method):
    """SimCLR: NT-Xent between two views of each original.

    Source: Chen et al., ICML 2020, https://arxiv.org/abs/2002.05709.

    Args:
        temperature: divides the similarities.
    """

    sources = ("original", "original")

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
        first, second = project(*views)
        return nt_xent(first, second, self.temperature)
