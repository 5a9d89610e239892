"""What every engine promises."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daco_core.errors import DacoError
from daco_core.photographs.images import MAX_ASPECT
from daco_training.encoder.encoder import Encoder


class Engine(Protocol):
    """What turns photographs into descriptors, on whatever device; any number of threads may use it."""

    @property
    def dimension(self) -> int:
        """The length of a descriptor."""

    @property
    def fingerprint(self) -> str:
        """The encoder's: descriptors of equal fingerprints can be compared."""

    @property
    def image_size(self) -> int:
        """Pixels that a photograph's shorter side is resized to."""

    @property
    def at_once(self) -> int:
        """Images that are worth passing together; of more, the first would only wait for the last."""

    @property
    def description(self) -> str:
        """What computes, and in which precision, in words: `OpenVINO int8`."""

    def prepare(self, image: Image.Image) -> Tensor:
        """An RGB image as the tensor (3, h, w) that `embed_prepared` takes.

        Raises:
            DacoError: its one side is more than MAX_ASPECT times the other.
        """

    def embed_prepared(self, tensors: Sequence[Tensor]) -> NDArray[np.float32]:
        """Prepared images of any shapes to descriptors of length 1: n times (3, h, w) to (n, dimension), in order.

        Raises:
            DacoError: they do not fit into the device's memory.
        """

    def for_many(self) -> "Engine":
        """The form of it that describes many with the least work in all: itself, where there is no other."""

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """RGB images to descriptors: n images to (n, dimension). Raises what `prepare` and `embed_prepared` raise."""


def prepare(encoder: Encoder, image: Image.Image) -> Tensor:
    """An RGB image as the tensor (3, h, w) that an encoder takes.

    Raises:
        DacoError: its one side is more than MAX_ASPECT times the other.
    """
    # where only the shorter side is fixed, a thread of pixels would grow to gigabytes: of 1 x 60000, 256 x 15 million
    width, height = image.size
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DacoError(f"{width} x {height} pixels are too narrow a picture to know a place by.")
    prepared: Tensor = encoder.prepare(image)
    return prepared
