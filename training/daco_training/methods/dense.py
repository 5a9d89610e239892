"""Dense DaCo: the loss of DaCo for the cells of photographs instead of complete photographs (not in the paper)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from daco_training.methods.simclr import nt_xent

NEAR = 0.03  # of the photograph's sides, about half a cell: spots within this distance count as the same
MOST_PAIRS = 2048  # of cells in a loss; its memory grows with their square


def matched_cells(first: Tensor, second: Tensor, near: float = NEAR) -> Tensor:
    """The cells of two views of each photograph that show the same spot: mutual nearest ones, at most `near` apart.

    Args:
        first, second: (n, c, d) the spots that cells show, NaN if there is none.

    Returns:
        (m, 3): index of the photograph, cell of the first view, cell of the second.
    """
    # cells that show nothing are placed far away from all others, on either side
    distances = torch.cdist(first.nan_to_num(-1e3), second.nan_to_num(1e3), compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = distances.min(2)
    back = distances.argmin(1).gather(1, nearest)
    same = (back == torch.arange(first.shape[1], device=first.device)) & (distance <= near)
    photograph, cell = same.nonzero(as_tuple=True)
    return torch.stack([photograph, cell, nearest[photograph, cell]], dim=1)


def cell_loss(first: Tensor, second: Tensor, matched: Tensor, temperature: float) -> Tensor:
    """`nt_xent` of matched cells: the two cells of a pair attract, the cells of all other pairs repel.

    If there are more than `MOST_PAIRS` pairs, that many are drawn at random.

    Args:
        first, second: (n, c, w) L2-normalised local descriptors of the two views.
        matched: as returned by `matched_cells`.

    Returns:
        A scalar; 0 without any pairs.
    """
    if len(matched) > MOST_PAIRS:
        matched = matched[torch.randperm(len(matched), device=matched.device)[:MOST_PAIRS]]
    photograph, one, other = matched.unbind(1)
    if not len(matched):
        return (first.sum() + second.sum()) * 0.0
    return nt_xent(first[photograph, one], second[photograph, other], temperature)


def dense_daco_loss(locals_: Sequence[Tensor], spots: Sequence[Tensor], temperature: float, lamda: float) -> Tensor:
    """DaCo's loss with cells instead of photographs; C is `cell_loss` of the cells that show the same spot:

        C(o1, o2) + C(g1, g2) + lamda * (C(o1, g1) + C(o1, g2))

    A generated twin shows the same as its original at each pixel, so views of either have spots in common.

    Args:
        locals_: for two views of each original and two of its twin, (n, c, w) L2-normalised local descriptors.
        spots: for the same views, (n, c, d), what each cell shows.
        temperature: divides the similarities.
        lamda: weight of the cross-domain terms.
    """
    o1, o2, g1, g2 = range(4)

    def term(one: int, other: int) -> Tensor:
        matched = matched_cells(spots[one], spots[other])
        return cell_loss(locals_[one], locals_[other], matched, temperature)

    return term(o1, o2) + term(g1, g2) + lamda * (term(o1, g1) + term(o1, g2))
