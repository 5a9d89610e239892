"""`Encoder`: computes the descriptors of photographs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.precision_record import Precision
from daco_serve.api.photographs import Photograph, prepared_batches

BATCH_SIZE = 16


class Encoder:
    """Computes the descriptor of a photograph: a vector of length 1 that is similar for photographs of the same place.

    Any number of threads may use it.

    Example:
        >>> encoder = Encoder.load("default")
        >>> day, night = encoder.embed(["day.jpg", "night.jpg"])
        >>> similarity = day @ night  # cosine similarity, -1..1
    """

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine

    @classmethod
    def load(
        cls,
        name: str | Path = "default",
        device: str = "auto",
        precision: Precision = "fp32",
        trust: bool = False,
        image_size: int | None = None,
    ) -> "Encoder":
        """Loads an encoder by its name.

        Args:
            name: `default`, the encoder that ships with the package; the folder of one that `daco-train` saved;
                `timm:NAME`; `hf:OWNER/NAME`; `onnx:PATH`; `torchhub:REPO:ENTRY`; or a short name such as `megaloc`
                (`daco-index encoders`).
            device: `cpu`, `cuda`, `cuda:1`, ...; `auto` uses a GPU if there is one.
            precision: `fp32` or `bf16`. (int8 belongs to an index: see `Index.open`.)
            trust: allow the third-party code of a `torchhub:` encoder to be executed.
            image_size: pixels that photographs are resized to, for third-party encoders; None for the usual size.

        Raises:
            NotFound: there is no such encoder.
            DamagedEncoder: its files are damaged.
            MissingExtra: it needs a package that is not installed.
            UsageError: the device or the precision is not available, or consent is missing.
        """
        stored = find_encoder(str(name), trust, image_size)
        return cls(stored.name, create_engine(stored, device, precision, goal="throughput"))

    @property
    def dimension(self) -> int:
        """The length of a descriptor."""
        return self.engine.dimension

    @property
    def fingerprint(self) -> str:
        """The encoder's fingerprint: only descriptors with equal fingerprints can be compared."""
        return self.engine.fingerprint

    def embed(
        self, photographs: Photograph | Iterable[Photograph], batch_size: int = BATCH_SIZE
    ) -> NDArray[np.float32]:
        """The descriptors of n photographs, in order: (n, dimension), float32, length 1; n is 1 for a single one.

        Args:
            photographs: paths or Pillow images, also from a generator; at most one batch is in memory.
            batch_size: number of photographs embedded at once.

        Raises:
            UnreadableImage: a file is not an image, or is damaged.
            UsageError: a photograph is too narrow.
        """
        batches = prepared_batches(self.engine, photographs, batch_size)
        vectors = [self.engine.embed_prepared(batch) for batch in batches]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dimension), dtype=np.float32)
