"""DaCo: views of an image attract each other, and so do views of its generated twin in the other domain."""

from collections.abc import Sequence

from torch import Tensor

from daco_training.methods.dense import dense_daco_loss
from daco_training.methods.method import Method, Projector
from daco_training.methods.simclr import nt_xent


def daco_loss(o1: Tensor, o2: Tensor, g1: Tensor, g2: Tensor, temperature: float, lamda: float) -> Tensor:
    """Contrastive terms within each domain, and between the domains, weighted by `lamda`; S is `nt_xent`:

        S(o1, o2) + S(g1, g2) + lamda * (S(o1, g1) + S(o1, g2))

    Source: "DaCo: domain-agnostic contrastive learning for visual place recognition", Applied Intelligence 2023,
    https://doi.org/10.1007/s10489-023-04629-x; the terms are those of its code, https://github.com/leftthomas/DaCo.

    Args:
        o1, o2: (n, c) L2-normalised projections of two views of each original.
        g1, g2: (n, c) L2-normalised projections of two views of its generated twin; row i is the twin of original i.
        temperature: divides the similarities.
        lamda: weight of the cross-domain terms.

    Returns:
        A scalar.

    Examples:
        >>> import torch
        >>> view = torch.eye(4)
        >>> same_place = daco_loss(view, view, view, view, temperature=0.1, lamda=0.8)
        >>> other_places = daco_loss(view, view, view.flip(0), view.flip(0), temperature=0.1, lamda=0.8)
        >>> bool(same_place < other_places)
        True
    """
    within = nt_xent(o1, o2, temperature) + nt_xent(g1, g2, temperature)
    across = nt_xent(o1, g1, temperature) + nt_xent(o1, g2, temperature)
    return within + lamda * across


class DaCo(Method):
    """DaCo, domain-agnostic contrastive learning: `daco_loss` on two views of each original and two of its twin.

    Source: Applied Intelligence 2023, https://doi.org/10.1007/s10489-023-04629-x.

    Args:
        temperature: divides the similarities.
        lamda: weight of the cross-domain terms.
        dense: weight of `dense_daco_loss` beside it; 0 leaves it out.
    """

    sources = ("original", "original", "generated", "generated")

    def __init__(self, temperature: float, lamda: float, dense: float = 0.0) -> None:
        super().__init__()
        self.dense = dense
        self.temperature = temperature
        self.lamda = lamda

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
        if not self.dense:
            o1, o2, g1, g2 = project(*views)
            return daco_loss(o1, o2, g1, g2, self.temperature, self.lamda)
        (o1, o1_cells), (o2, o2_cells), (g1, g1_cells), (g2, g2_cells) = project.with_local(*views)
        cells = dense_daco_loss(
            (o1_cells, o2_cells, g1_cells, g2_cells),
            [project.gather(points) for points in spots],
            self.temperature,
            self.lamda,
        )
        return daco_loss(o1, o2, g1, g2, self.temperature, self.lamda) + self.dense * cells
