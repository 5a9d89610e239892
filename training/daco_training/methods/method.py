"""The interface of training methods: the views that a method needs, its loss, and its memory."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Literal, Protocol

from torch import Tensor, nn

Source = Literal["original", "generated"]


class Projector(Protocol):
    """The network in training, as a method sees it: views in, L2-normalised projections of the full batch out."""

    def __call__(self, *views: Tensor) -> tuple[Tensor, ...]:
        """Each view, (n, 3, h, w), passes by itself, so with its own batch statistics: (n, proj_dim) each."""
        ...

    def with_features(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """As called, and beside each projection the features that it was made of: (n, proj_dim) and (n, dimension)."""
        ...

    def gather(self, projections: Tensor) -> Tensor:
        """The rows of all processes, in the order of the full batch."""
        ...

    def precision(self) -> AbstractContextManager[None]:
        """The number format that the run was asked for."""
        ...


class Method(nn.Module, ABC):
    """One way to train. What it must remember from step to step lies in its buffers, so in every checkpoint."""

    sources: ClassVar[tuple[Source, ...]]
    """Which image each view is drawn from; a method that names `generated` needs the twins."""

    @abstractmethod
    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            project: gives the projections of views.
            views: one (n, 3, h, w) for each of `sources`.
            index: (n,) which training image each row is.
        """

    def after_step(self) -> None:
        """Brings the memory up to date, once the optimiser has made its step."""
