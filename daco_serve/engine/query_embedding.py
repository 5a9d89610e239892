"""Embeds queries in the way that suits the load."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image

from daco_core.encoder.preparation import Prepared
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_serve.operation import metrics


class EngineFault(Exception):
    """The encoder gave something that is no descriptor."""


class Describer:
    """Two forms of one engine: all cores for a query that is alone, or several queries at a time, of fewer cores each.

    Cores that share a query wait for each other. With more queries in work than the second form takes at a time, that
    costs more than it gives. On a GPU both are the same.

    Args:
        engine: the form for a query that is alone.
        max_batch: most queries at a time.
    """

    def __init__(self, engine: Engine, max_batch: int) -> None:
        self._alone = engine
        self._many = engine.for_many() if max_batch > 1 else engine
        self._in_work = 0
        self.faults = 0  # batches that failed since the last that did not
        self.at_once = min(max_batch, self._many.at_once)
        for form in {self._alone, self._many}:
            _warm(form, min(max_batch, form.at_once))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts a query from its decoding on; to be used in one thread."""
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    def probe(self) -> Prepared:
        """A prepared image that shows nothing, to see whether the encoder works."""
        return self.prepare(Image.new("RGB", (self._alone.image_size, self._alone.image_size), "grey"))

    def prepare(self, image: Image.Image) -> Prepared:
        """As `Engine.prepare`."""
        return self._alone.prepare(image)

    def describe(self, images: Sequence[Prepared]) -> list[Embedding]:
        """Prepared images of any shapes to the descriptors of each, with its local ones where the encoder has them.

        Raises:
            EngineFault: a number of them is not finite, or there are too few.
            Exception: what `Engine.embed_prepared` raises.
        """
        metrics.batch_size.observe(len(images))
        is_alone = len(images) == 1 and self._in_work <= self._many.at_once
        try:
            together = (self._alone if is_alone else self._many).embed_prepared_with_local(images)
            _check(together, len(images))
        except Exception:
            self.faults += 1
            metrics.faults.labels("encoder").inc()
            raise
        self.faults = 0
        return [
            Embedding(
                together.descriptors[row : row + 1], None if together.local is None else together.local[row : row + 1]
            )
            for row in range(len(images))
        ]


def _check(together: Embedding, count: int) -> None:
    for part in (together.descriptors, together.local):
        if part is None:
            continue
        if len(part) != count:
            raise EngineFault(f"The encoder gave {len(part)} descriptors for {count} photographs.")
        if not np.isfinite(part).all():
            raise EngineFault("The encoder gave descriptors that are not finite numbers.")


def _warm(engine: Engine, at_once: int) -> None:
    """Lets the engine embed a dummy by itself and in batches, twice: on a GPU the second is recorded."""
    dummy = engine.prepare(Image.new("RGB", (engine.image_size * 4 // 3, engine.image_size)))
    for power in range((at_once - 1).bit_length() + 1):
        for _ in range(2):
            engine.embed_prepared_with_local([dummy] * min(2**power, at_once))
