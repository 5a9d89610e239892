"""Pooling: a feature map to one vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class AveragePooling(nn.Module):
    """The mean over positions: (n, c, h, w) to (n, c)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(-2, -1))


class GeM(nn.Module):
    """Generalised mean over positions with one learnable exponent: (n, c, h, w) to (n, c).

    Source: Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018, eq. 2.
    """

    def __init__(self, exponent: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.floor = floor

    def forward(self, maps: Tensor) -> Tensor:
        powers = maps.float().clamp(min=self.floor).pow(self.exponent)
        return functional.adaptive_avg_pool2d(powers, 1).flatten(1).pow(1.0 / self.exponent)


POOLINGS: dict[str, type[nn.Module]] = {"avg": AveragePooling, "gem": GeM}
