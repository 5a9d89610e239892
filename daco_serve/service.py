"""What answers a query, without HTTP: the live index, its engine, and the threads that work for them."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daco_serve.batching import Batcher, QueueFull
from daco_serve.errors import Refusal
from daco_serve.localize import MATCHES, localize
from daco_serve.schemas import IndexState, Location, QueryAnswer, Timings
from daco_serve.schemas import Match as MatchAnswer
from daco_serve.settings import ServeSettings
from daco_serve.uploads import decode_upload
from index.bundle import Bundle, Match
from index.embed import Engine, TorchEngine
from index.generations import Current, read_current
from training.errors import DacoError

log = logging.getLogger(__name__)

DRAFT_FACTOR = 2  # a JPEG is decoded no smaller than this times what the encoder takes, so that resizing still smooths


@dataclass(frozen=True)
class Live:
    """One generation of the index and the engine for it; a request keeps the one it began with."""

    bundle: Bundle
    engine: Engine
    batcher: Batcher[Tensor, NDArray[np.float32]]

    @property
    def state(self) -> IndexState:
        """What answers say of the index."""
        manifest = self.bundle.manifest
        return IndexState(
            generation=manifest.generation,
            count=manifest.count,
            backbone=manifest.backbone,
            encoder=manifest.encoder_fingerprint,
        )


class Service:
    """Answers queries from the newest generation of one index."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
        self._live: Live | None = None
        self._seen: Current | None = None
        self._in_work = 0

    @property
    def live(self) -> Live:
        """The generation that answers now.

        Raises:
            Refusal: none is loaded yet.
        """
        if self._live is None:
            raise Refusal("not_ready")
        return self._live

    def load(self) -> None:
        """Takes up the index's live generation, if it is not the one that answers already.

        The engine is warmed with one dummy image, and kept where the new generation has the same encoder.

        Raises:
            DacoError: there is no index, or it is damaged; what answered before goes on answering.
        """
        current = read_current(self.settings.index)
        if current == self._seen:
            return
        self._seen = current  # a damaged generation is complained of once, not at every look
        bundle = Bundle.open(self.settings.index, self.settings.trust)
        old = self._live
        if old is not None and old.engine.fingerprint == bundle.manifest.encoder_fingerprint:
            self._live = Live(bundle, old.engine, old.batcher)
            return
        engine = TorchEngine(bundle.encoder, self.settings.device)
        size = bundle.encoder.config.image_size
        engine.embed([Image.new("RGB", (size * 4 // 3, size))])
        batcher = Batcher[Tensor, NDArray[np.float32]](
            lambda tensors: list(engine.embed_prepared(tensors)), self.settings.max_batch, self.settings.max_waiting
        )
        self._live = Live(bundle, engine, batcher)

    async def keep_current(self) -> None:
        """Loads the index, and every new generation of it, until cancelled."""
        complaint = ""
        while True:
            before = self._live
            try:
                await asyncio.to_thread(self.load)
                complaint = ""
            except DacoError as error:
                if str(error) != complaint:
                    log.error("%s", error)
                complaint = str(error)
            if before is not None and self._live is not before:
                state = self.live.state
                log.info("Generation %d answers now: %d photographs.", state.generation, state.count)
            await asyncio.sleep(self.settings.reload_seconds)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """A place among the requests in work, which bounds the memory that uploads and images take.

        Raises:
            Refusal: all places are taken.
        """
        if self._in_work >= self.settings.max_waiting:
            raise Refusal("too_busy")
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    async def answer(self, upload: bytes, k: int, began: float) -> QueryAnswer:
        """Looks a photograph up.

        Args:
            upload: the bytes of an image file.
            k: how many matches; of a smaller index, all.
            began: when the request did, by `time.perf_counter`.

        Raises:
            Refusal: the bytes are not an image that we take, or too much waits.
        """
        live = self.live
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        tensor = await loop.run_in_executor(self.threads, self._prepare, live, upload)
        decoded = time.perf_counter()
        try:
            vector = await asyncio.wrap_future(live.batcher.submit(tensor))
        except QueueFull as error:
            raise Refusal("too_busy") from error
        embedded = time.perf_counter()
        matches, location = await loop.run_in_executor(self.threads, _search, live, vector, k)
        end = time.perf_counter()
        return QueryAnswer(
            matches=[_match_answer(match) for match in matches],
            location=location,
            timings=Timings(
                decode_ms=_milliseconds(start, decoded),
                embed_ms=_milliseconds(decoded, embedded),
                search_ms=_milliseconds(embedded, end),
                total_ms=_milliseconds(began, end),
            ),
            index=live.state,
        )

    def _prepare(self, live: Live, upload: bytes) -> Tensor:
        least_side = DRAFT_FACTOR * live.bundle.encoder.config.image_size
        return live.engine.prepare(decode_upload(upload, self.settings.max_pixels, least_side))


def image_address(reference: int) -> str:
    """Where the server has a reference photograph."""
    return f"/v1/references/{reference}/image"


def _search(live: Live, vector: NDArray[np.float32], k: int) -> tuple[Sequence[Match], Location | None]:
    # the location must not depend on how many matches the client wants to see
    matches = live.bundle.search(vector[None], max(k, MATCHES))[0]
    return matches[:k], localize(matches)


def _match_answer(match: Match) -> MatchAnswer:
    entry = match.entry
    return MatchAnswer(
        rank=match.rank,
        id=entry.id,
        place=entry.place,
        similarity=round(match.similarity, 6),
        latitude=entry.latitude,
        longitude=entry.longitude,
        heading=entry.heading,
        image=image_address(entry.id),
    )


def _milliseconds(start: float, end: float) -> float:
    return round(1000 * (end - start), 2)
