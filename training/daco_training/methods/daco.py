"""DaCo: views of an image and views of its generated twin in the other domain attract."""

from collections.abc import Sequence

from torch import Tensor

from daco_training.methods.method import Method, Projector
from daco_training.methods.simclr import nt_xent


def daco_loss(o1: Tensor, o2: Tensor, g1: Tensor, g2: Tensor, temperature: float, lamda: float) -> Tensor:
    """Within-domain terms, and cross-domain terms weighted by `lamda`.

    Source: "DaCo: Domain-Agnostic Contrastive Learning for Visual Place Recognition", Applied Intelligence, 2023:
    S(o1, o2) + S(g1, g2) + lamda * (S(o1, g1) + S(o1, g2)), S being NT-Xent.

    Args:
        o1, o2: (n, c) L2-normalised projections of two views of each original.
        g1, g2: (n, c) those of two views of its generated twin.

    Returns:
        A scalar.
    """
    within = nt_xent(o1, o2, temperature) + nt_xent(g1, g2, temperature)
    across = nt_xent(o1, g1, temperature) + nt_xent(o1, g2, temperature)
    return within + lamda * across


class DaCo(Method):
    """Domain-agnostic contrastive learning: two views of the original, two of its twin.

    Args:
        temperature: divides the similarities.
        lamda: weight of the cross-domain terms.
    """

    sources = ("original", "original", "generated", "generated")

    def __init__(self, temperature: float, lamda: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.lamda = lamda

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        o1, o2, g1, g2 = project(*views)
        return daco_loss(o1, o2, g1, g2, self.temperature, self.lamda)
