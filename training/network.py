"""The network in training: an encoder with a projection head, as the methods see it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Self

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from training.encoder import Encoder

HIDDEN = 512


class ContrastiveNetwork(nn.Module):
    """Encoder and projection head: Linear without bias, BatchNorm, ReLU, Linear.

    Shape: views (n, 3, h, w) to projections (n, proj_dim), L2-normalised; asked `with_features`, then to the encoder's
    features (n, dimension) of each view, too. Each view passes by itself, so that it has its own batch statistics, as
    published.

    Args:
        direct: without a head: the projections are the descriptors.
        frozen: the backbone is not trained, and its batch norm keeps its statistics.
    """

    def __init__(self, encoder: Encoder, proj_dim: int, direct: bool = False, frozen: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.frozen = frozen
        encoder.backbone.requires_grad_(not frozen)
        head = (
            nn.Linear(encoder.dimension, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, proj_dim),
        )
        self.head = nn.Identity() if direct else nn.Sequential(*head)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.encoder.backbone.eval()
        return self

    def forward(self, *views: Tensor, with_features: bool = False) -> tuple[Tensor, ...]:
        features = tuple(self.encoder.features(view) for view in views)
        projections = tuple(functional.normalize(self.head(feature), dim=-1) for feature in features)
        return projections + features if with_features else projections


class PlainProjector:
    """A network in one process as a `Projector`, in the number format that it is in."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, *views: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.gather(projections) for projections in self.network(*views))

    def with_features(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        gathered = [self.gather(rows) for rows in self.network(*views, with_features=True)]
        return tuple(zip(gathered[: len(views)], gathered[len(views) :], strict=True))

    def gather(self, projections: Tensor) -> Tensor:
        return projections

    def precision(self) -> AbstractContextManager[None]:
        return nullcontext()


class FabricProjector(PlainProjector):
    """A network set up by Fabric, as a `Projector`: projections of the whole batch, over all processes."""

    def __init__(self, fabric: Fabric, network: nn.Module) -> None:
        super().__init__(network)
        self.fabric = fabric

    def gather(self, projections: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return projections
        gathered = self.fabric.all_gather(projections, sync_grads=projections.requires_grad)
        return torch.as_tensor(gathered).flatten(0, 1)

    def precision(self) -> AbstractContextManager[None]:
        autocast: AbstractContextManager[None] = self.fabric.autocast()
        return autocast
