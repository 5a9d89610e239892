"""The network in training: an encoder with a projection head, in the form that the methods use."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from daco_training.encoder.backbones import last_stages
from daco_training.encoder.encoder import Encoder
from daco_training.loop.batch_norm import separate

HIDDEN = 512
FEATURES, LOCAL = "features", "local"  # further outputs that may be requested


class ContrastiveNetwork(nn.Module):
    """Encoder and projection head: Linear without bias, BatchNorm, ReLU, Linear.

    Shape: views (n, 3, h, w) to projections (n, proj_dim), L2-normalised; with FEATURES or LOCAL as `beside`, also to
    the encoder's features (n, dimension) or local descriptors (n, cells, width) of each view. Each view has its own
    batch statistics, as published: it passes separately, unless `pass_together` was called.

    Args:
        direct: without a head: the projections are the descriptors.
        frozen: the backbone is not trained, and its batch norm keeps its statistics.
        tail: number of last stages of a frozen backbone that are trained nevertheless.
    """

    def __init__(
        self, encoder: Encoder, proj_dim: int, direct: bool = False, frozen: bool = False, tail: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.frozen = frozen
        encoder.backbone.requires_grad_(not frozen)
        self.tail = last_stages(encoder.backbone, tail) if tail else []
        for parameter in self.tail:
            parameter.requires_grad_()
        head = (
            nn.Linear(encoder.dimension, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, proj_dim),
        )
        self.head = nn.Identity() if direct else nn.Sequential(*head)
        self.together = False

    def pass_together(self, rows: int) -> None:
        """Makes the views, of `rows` rows each, pass as one batch from now on, with separate batch statistics."""
        separate(self, rows)
        self.together = True

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.encoder.backbone.eval()
        return self

    def forward(self, *views: Tensor, beside: str = "") -> tuple[Tensor, ...]:
        batches = (torch.cat(views),) if self.together else views
        maps = [self.encoder.feature_maps(batch) for batch in batches]
        features: tuple[Tensor, ...] = tuple(self.encoder.pooling(levels) for levels in maps)
        projections = tuple(functional.normalize(self.head(feature), dim=-1) for feature in features)
        if not beside:
            others: tuple[Tensor, ...] = ()
        else:
            others = features if beside == FEATURES else tuple(self.encoder.local(levels) for levels in maps)
        if self.together:
            projections, others = (
                tuple(torch.split(rows[0], len(views[0]))) if rows else () for rows in (projections, others)
            )
        return projections + others


class PlainProjector:
    """A network in a single process as a `Projector`, in its own number format."""

    def __init__(self, network: Callable[..., tuple[Tensor, ...]]) -> None:
        self.network = network

    def __call__(self, *views: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.gather(projections) for projections in self.network(*views))

    def with_features(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        return self._beside(FEATURES, views)

    def with_local(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        return self._beside(LOCAL, views)

    def _beside(self, what: str, views: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], ...]:
        gathered = [self.gather(rows) for rows in self.network(*views, beside=what)]
        return tuple(zip(gathered[: len(views)], gathered[len(views) :], strict=True))

    def gather(self, projections: Tensor) -> Tensor:
        return projections

    def precision(self) -> AbstractContextManager[None]:
        return nullcontext()


class FabricProjector(PlainProjector):
    """A network set up by Fabric, as a `Projector`: returns projections of the full batch from all processes."""

    def __init__(self, fabric: Fabric, network: Callable[..., tuple[Tensor, ...]]) -> None:
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
