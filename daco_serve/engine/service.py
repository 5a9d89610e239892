"""What answers a query, without HTTP: the live indexes, their engines, and the threads that work for them."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from PIL import Image
from threadpoolctl import threadpool_limits

from daco_core.encoder.preparation import Prepared
from daco_core.errors import DacoError, DamagedIndex, StoreAway
from daco_index.embedding.engines.engine import Embedding
from daco_serve.engine.answers import Answer, IndexSummary, QueryError, QueryOptions, SearchArea, StageSeconds
from daco_serve.engine.batching import QueueFull
from daco_serve.engine.decoder_pool import TOO_BUSY, Decoders
from daco_serve.engine.fair_turns import FairTurns
from daco_serve.engine.index_names import find_indexes, passed_over
from daco_serve.engine.live_indexes import NOT_READY, Engines, Live, ServedIndex, unreadable
from daco_serve.engine.lookup import Lookup, look_up
from daco_serve.engine.references.files import ReferenceFiles
from daco_serve.operation import metrics
from daco_serve.operation.settings import ServeSettings

log = logging.getLogger(__name__)

MOST_FAULTS = 3  # of the encoder, one after the other, until the server asks itself whether it works
ENCODER_FAILED = "The encoder of the index fails: the server's log says why."
STORE_AWAY = "The server that holds the index's vectors does not answer: try again in a second."


class Service:
    """Answers queries from the newest generations of one index or several.

    Args:
        first: the index that answers unless another is named; the first that is found unless given.
    """

    def __init__(self, settings: ServeSettings, first: str | None = None) -> None:
        # queries run side by side: two threads for the small products of each only wait for each other
        threadpool_limits(1, user_api="blas")
        self.settings = settings
        self._first = first
        self._settled = first is not None  # else, until it has answered, the first of those that are found
        self.references = ReferenceFiles(settings.threads)
        self.decoding = FairTurns(settings.threads)
        self.indexes: dict[str, ServedIndex] = {}
        self._engines = Engines(settings)
        self._complaints: dict[str, str] = {}
        self._decoders = Decoders(settings.decode_seconds, settings.max_pixels)

    @property
    def live(self) -> Live:
        """What answers a query that names no index. Raises as `choose`."""
        return self.choose(None)

    def choose(self, name: str | None) -> Live:
        """The live generation of an index, None for the first.

        Raises:
            QueryError: there is no index of this name, or it is not loaded yet.
        """
        wanted = self._first if name is None else name
        if wanted in self.indexes:
            return self.indexes[wanted].live
        if name is None or not self.indexes:
            raise QueryError("not_ready", NOT_READY)
        raise QueryError("unknown_index", f"There is no index {name!r} here; there is {', '.join(self.indexes)}.")

    @property
    def summaries(self) -> list[IndexSummary]:
        """What it answers from."""
        return [index.live.summary for index in self.indexes.values() if index.loaded]

    async def check(self) -> None:
        """Raises QueryError, saying why, unless the index that answers by default would answer a query now."""
        live = self.live
        try:
            await asyncio.to_thread(self._decoders.check)
            if live.running.describer.faults >= MOST_FAULTS:
                await asyncio.wrap_future(live.running.batcher.submit(live.running.describer.probe()))
        except QueueFull:
            pass  # it is at work
        except QueryError:
            raise
        except Exception as error:
            raise QueryError("encoder_failed", ENCODER_FAILED) from error
        try:
            await asyncio.get_running_loop().run_in_executor(live.searching, live.bundle.check)
        except StoreAway as error:
            raise QueryError("store_away", STORE_AWAY) from error  # its own sentence names an address
        except DamagedIndex as error:
            raise unreadable(live.name) from error

    def load(self) -> None:
        """Takes up the live generation of every index, and what has come into a folder of indexes.

        An index that cannot be had is left out, with a line in the log.

        Raises:
            DacoError: not one can be had.
        """
        self._decoders.warm()
        self._find()
        faults: dict[str, Exception] = {}
        for index in self.indexes.values():
            try:
                self._load(index)
            except Exception as fault:
                faults[index.name] = fault
        if len(faults) == len(self.indexes):
            raise next(iter(faults.values()))
        for name, reason in faults.items():
            self._complain(name, reason)

    def _find(self) -> None:
        found = find_indexes(self.settings.index)
        for complaint in passed_over(self.settings.index):
            self._complain(complaint, DacoError(complaint))
        fresh = {
            name: ServedIndex(name, folder, self.settings, self._engines)
            for name, folder in found.items()
            if name not in self.indexes
        }
        # what never answered and is no longer found is forgotten: a folder of indexes that was not mounted for a moment
        # looks like an index of its own
        known = {name: index for name, index in self.indexes.items() if index.loaded or name in found} | fresh
        if not self._settled:
            self._first = next(iter(found))
            self._settled = self._first in self.indexes and self.indexes[self._first].loaded
        # a new one, since requests may be reading the old one; the first stays so, whatever has joined since
        self.indexes = {name: known[name] for name in sorted(known, key=lambda name: name != self._first)}

    def _load(self, index: ServedIndex) -> None:
        before = index.loaded
        if index.load() and before:
            summary = index.live.summary
            log.info("Generation %d of %s answers now: %d photographs.", summary.generation, index.name, summary.count)

    async def keep_current(self) -> None:
        """Loads the indexes, and every new generation of them, until cancelled."""
        while True:
            await asyncio.to_thread(self._attempt, "", self._find)
            for index in list(self.indexes.values()):
                await asyncio.to_thread(self._attempt, index.name, partial(self._load, index))
            await asyncio.sleep(self.settings.reload_seconds)

    def _attempt(self, subject: str, work: Callable[[], None]) -> None:
        """Does it; what it fails of is logged when that is new."""
        try:
            work()
        except Exception as error:  # a network disk fails in many ways, and may be well again at the next look
            self._complain(subject, error)
        else:
            self._complaints.pop(subject, None)

    def _complain(self, subject: str, error: Exception) -> None:
        is_ours = isinstance(error, DacoError)
        complaint = str(error) if is_ours else f"{subject or 'The indexes'} cannot be looked at: {error!r}."
        if complaint != self._complaints.get(subject):
            log.error("%s", complaint, exc_info=None if is_ours else error)
        self._complaints[subject] = complaint

    def close(self) -> None:
        """Ends the threads and processes that work for it, once no request does."""
        self.references.close()
        for index in self.indexes.values():
            index.close()
        self.decoding.close()
        self._decoders.close()

    async def answer(
        self,
        live: Live,
        upload: bytes,
        options: QueryOptions,
        began: float,
        client: str = "",
        upright: Sequence[Image.Transpose] = (),
    ) -> Answer:
        """Looks a photograph up.

        Args:
            live: the index to look in.
            upload: the bytes of an image file.
            began: when the request did, by `time.perf_counter`.
            client: who asks; clients take turns.
            upright: what has to be done to see the decoded image upright.

        Raises:
            QueryError: the bytes are not an image that we take, the area holds nothing, or too much waits.
        """
        start = time.perf_counter()
        waiting = [upload]
        with live.running.describer.at_work():
            try:
                tensor = await self.decoding.run(client, lambda: self._prepare(live, waiting, upright))
            finally:
                waiting.clear()  # what is cancelled stays in the threads' queue for a while, but without its bytes
            decoded = time.perf_counter()
            try:
                with metrics.at_engine.track_inprogress():
                    embedding = await asyncio.wrap_future(live.running.batcher.submit(tensor))
            except QueueFull as error:
                raise QueryError("too_busy", TOO_BUSY) from error
        embedded = time.perf_counter()
        try:
            # in other threads than those that decode, so that it does not queue behind the photographs to come
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(live.searching, _search, live, embedding, options)
        except StoreAway as error:
            log.error("%s", error)
            raise QueryError("store_away", STORE_AWAY) from error
        except DamagedIndex as error:
            log.error("%s", error)
            raise unreadable(live.name) from error
        end = time.perf_counter()
        metrics.record_stages(
            upload=(began, start),
            decode=(start, decoded),
            embed=(decoded, embedded),
            search=(embedded, found.searched),
            rerank=(found.searched, end),
        )
        seconds = StageSeconds(
            decode=decoded - start,
            embed=embedded - decoded,
            search=found.searched - embedded,
            rerank=end - found.searched,
            total=end - began,
        )
        summary = live.summary
        if found.estimate.verdict == "uncalibrated":  # the calibration, if any, is for the other kind of ranking
            summary = replace(summary, calibrated=None)
        return Answer(found.matches, found.estimate, seconds, summary, live.names, found.cells)

    def _prepare(self, live: Live, waiting: list[bytes], upright: Sequence[Image.Transpose]) -> Prepared:
        form, upload = live.bundle.encoder.config, waiting.pop()
        image = self._decoders.decode(upload, form.image_size, form.resize == "square")
        for change in upright:
            image = image.transpose(change)
        return live.running.describer.prepare(image)


def _search(live: Live, embedding: Embedding, options: QueryOptions) -> Lookup:
    only = None if options.area is None else _within(live, options.area)
    return look_up(live.bundle, live.calibration, embedding, options, only)


def _within(live: Live, area: SearchArea) -> list[int]:
    ids = area.ids(live.bundle.catalog)
    if not ids:
        raise QueryError("prior_holds_nothing", f"No reference photograph of {live.name} lies {area}.")
    return ids
