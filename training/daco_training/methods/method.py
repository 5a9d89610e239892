"""The interface of training methods: the views that a method needs, its loss, and its memory."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Literal, Protocol

from torch import Tensor, nn

Source = Literal["original", "generated"]


class Projector(Protocol):
    """The network in training, as methods use it: views in, L2-normalised projections of the full batch out.

    With several processes each passes its share of a batch, (m, 3, h, w), and gets the n projections of all.
    """

    def __call__(self, *views: Tensor) -> tuple[Tensor, ...]:
        """The projections of each view, with separate batch statistics: (m, 3, h, w) each to (n, proj_dim)."""
        ...

    def with_features(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """For each view its projections, (n, proj_dim), and the features that they come from, (n, dimension)."""
        ...

    def with_local(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """For each view its projections, (n, proj_dim), and its local descriptors, (n, cells, width)."""
        ...

    def gather(self, projections: Tensor) -> Tensor:
        """Collects the rows of all processes, in the order of the full batch: (m, ...) to (n, ...)."""
        ...

    def precision(self) -> AbstractContextManager[None]:
        """A context in which the network computes in the run's number format."""
        ...


class Method(nn.Module, ABC):
    """A training method. What it stores between steps is in its buffers, and thus in every checkpoint."""

    sources: ClassVar[tuple[Source, ...]]
    """For each view, the image that it is taken from: the original, or its generated twin in the other domain."""

    @abstractmethod
    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
        """The loss of one batch of n images, of which this process has m.

        Args:
            project: computes the projections of views.
            views: for each of `sources`, (m, 3, h, w) normalised images.
            index: (m,) the number of each training image.
            spots: for each view, what its cells show, (m, cells, 2), if a method compares cells.

        Returns:
            A scalar.
        """

    def after_step(self) -> None:
        """Updates the memory after the optimiser's step."""
