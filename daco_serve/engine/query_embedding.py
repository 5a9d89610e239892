"""Embeds queries, with an engine that suits the load."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image

from daco_core.encoder.preparation import Prepared
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_serve.operation import metrics


class EngineFault(Exception):
    """The encoder returned something that is not a descriptor."""


class QueryEmbedder:
    """Uses two forms of one engine: all cores for a single query, or several queries at a time on fewer cores each.

    Cores that share a query wait for each other. But if more queries wait than the second form runs at a time, all
    cores are busy in either form, and it costs more than it gains. On a GPU both are the same.

    Args:
        engine: the form for a single query.
        max_batch: the largest number of queries at a time.
    """

    def __init__(self, engine: Engine, max_batch: int) -> None:
        self._alone = engine
        self._many = engine.for_many() if max_batch > 1 else engine
        self._in_work = 0
        self.faults = 0  # batches that failed since the last success
        self.at_once = min(max_batch, self._many.at_once)
        for form in {self._alone, self._many}:
            _warm(form, min(max_batch, form.at_once))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts a query from the start of its decoding; to be used in one thread."""
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    def probe(self) -> Prepared:
        """A prepared blank image, to test whether the encoder works."""
        return self.prepare(Image.new("RGB", (self._alone.image_size, self._alone.image_size), "grey"))

    def prepare(self, image: Image.Image) -> Prepared:
        """As `Engine.prepare`."""
        return self._alone.prepare(image)

    def embed(self, images: Sequence[Prepared]) -> list[Embedding]:
        """Embeds prepared images of any shapes, with local descriptors if the encoder has them.

        Raises:
            EngineFault: a number is not finite, or there are too few descriptors.
            Exception: an error of `Engine.embed_prepared`.
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
        return together.one_by_one()


def _check(together: Embedding, count: int) -> None:
    for part in (together.descriptors, together.local):
        if part is None:
            continue
        if len(part) != count:
            raise EngineFault(f"The encoder returned {len(part)} descriptors for {count} photographs.")
        if not np.isfinite(part).all():
            raise EngineFault("The encoder returned descriptors that are not finite.")


def _warm(engine: Engine, at_once: int) -> None:
    """Embeds a blank image singly and in batches, twice: on a GPU, a CUDA graph is captured at the second time."""
    dummy = engine.prepare(Image.new("RGB", (engine.image_size * 4 // 3, engine.image_size)))
    for power in range((at_once - 1).bit_length() + 1):
        for _ in range(2):
            engine.embed_prepared_with_local([dummy] * min(2**power, at_once))
