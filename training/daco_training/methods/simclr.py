"""SimCLR: two views of an image attract, all other views in the batch repel."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross entropy, mean over the 2n views.

    Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, eq. 1.

    Args:
        first, second: (n, c) L2-normalised projections; row i of one is the positive of row i of the other.

    Returns:
        A scalar.

    Examples:
        >>> nt_xent(torch.eye(4), torch.eye(4), temperature=0.1).item() < 0.01
        True
    """
    rows = torch.cat([first, second]).float()
    similarities = rows @ rows.T / temperature
    similarities = similarities.masked_fill(torch.eye(len(rows), dtype=torch.bool, device=rows.device), float("-inf"))
    positives = torch.arange(len(rows), device=rows.device).roll(len(first))
    return functional.cross_entropy(similarities, positives)


class SimCLR(Method):
    """SimCLR as the published code trains it: two views of each original.

    Args:
        temperature: divides the similarities.
    """

    sources = ("original", "original")

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        first, second = project(*views)
        return nt_xent(first, second, self.temperature)
