"""The PatchNCE loss, and the least-squares adversarial loss."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07


def patch_nce(queries: Sequence[Tensor], keys: Sequence[Tensor], temperature: float = TEMPERATURE) -> Tensor:
    """The contrastive loss between patches of the output and patches of the input at the same positions.

    The cross entropy of similarities divided by the temperature, averaged over patches, images and feature maps; the
    negatives are the other positions of the same image. Source: Park et al., ECCV 2020, equations 3 and 4.

    Args:
        queries: of the output, (n, p, d) unit vectors for each feature map.
        keys: of the input at the same positions, likewise; no gradient flows into them.
    """
    losses = []
    for query, key in zip(queries, keys, strict=True):
        similarity = query @ key.detach().transpose(1, 2) / temperature  # (n, p, p)
        own = torch.arange(query.shape[1], device=query.device).expand(query.shape[0], -1)
        losses.append(functional.cross_entropy(similarity.flatten(0, 1), own.flatten()))
    return torch.stack(losses).mean()


def judge(scores: Tensor, real: bool) -> Tensor:
    """The mean squared distance of scores from 1 (real) or 0. Source: Mao et al., LSGAN, ICCV 2017."""
    return ((scores - (1.0 if real else 0.0)) ** 2).mean()
