"""The interface of all engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.encoder.preparation import Prepared


@dataclass(frozen=True)
class Embedding:
    """The descriptors of n photographs.

    Args:
        descriptors: (n, dimension), float32, length 1.
        local: (n, cells, 64), float32, length 1: a descriptor for each cell of the engine's `local_grid`, row by row;
            None if the encoder has none.
    """

    descriptors: NDArray[np.float32]
    local: NDArray[np.float32] | None

    def one_by_one(self) -> "list[Embedding]":
        """An embedding for each of the n photographs."""
        return [
            Embedding(self.descriptors[row : row + 1], None if self.local is None else self.local[row : row + 1])
            for row in range(len(self.descriptors))
        ]


class Engine(Protocol):
    """Computes the descriptors of photographs on some device; any number of threads may use it."""

    @property
    def dimension(self) -> int:
        """The length of a descriptor."""

    @property
    def fingerprint(self) -> str:
        """The encoder's fingerprint: descriptors with equal fingerprints can be compared."""

    @property
    def image_size(self) -> int:
        """Pixels that a photograph's shorter side is resized to."""

    @property
    def at_once(self) -> int:
        """The largest useful batch; in a larger one, the first image would only wait for the last."""

    @property
    def description(self) -> str:
        """What computes, and in which precision: `OpenVINO int8`."""

    @property
    def local_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the cells that have a local descriptor; None if the encoder has none.

        Only encoders with `grid` pooling that resize every photograph to the same shape have them.
        """

    def prepare(self, image: Image.Image) -> Prepared:
        """An RGB image as the array (3, h, w), float32, that `embed_prepared` takes.

        Raises:
            DacoError: one side is more than MAX_ASPECT times the other.
        """

    def embed_prepared(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        """Prepared images of any shapes to descriptors of length 1: n times (3, h, w) to (n, dimension), in order.

        Raises:
            DacoError: they do not fit into the device's memory.
        """

    def embed_prepared_with_local(self, images: Sequence[Prepared]) -> Embedding:
        """Like `embed_prepared`, with the local descriptors, for an encoder that has them. Raises the same errors."""

    def for_many(self) -> "Engine":
        """The variant that embeds many photographs with the least total work; itself if there is no other."""

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """RGB images to descriptors: n images to (n, dimension). Raises what `prepare` and `embed_prepared` raise."""
