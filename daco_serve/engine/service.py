"""The service that answers queries, without HTTP: the live indexes, their engines, and the threads for them."""

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

MOST_FAULTS = 3  # consecutive failures of the encoder, after which the readiness check tests it
ENCODER_FAILED = "The encoder of the index fails; the server's log has the reason."
STORE_AWAY = "The server that stores the index's vectors does not respond: try again in a second."


class Service:
    """Answers queries from the newest generations of one or several indexes.

    Args:
        first: the index for queries that name none; None for the first one found.
    """

    def __init__(self, settings: ServeSettings, first: str | None = None) -> None:
        # queries run in parallel, so a second thread for the small matrix products of each would only wait
        threadpool_limits(1, user_api="blas")
        self.settings = settings
        self._first = first
        self._settled = first is not None  # if not, the default is the first index found, until one has answered
        self.references = ReferenceFiles(settings.threads)
        self.decoding = FairTurns(settings.threads)
        self.indexes: dict[str, ServedIndex] = {}
        self._engines = Engines(settings)
        self._complaints: dict[str, str] = {}
        self._decoders = Decoders(settings.decode_seconds, settings.max_pixels)

    @property
    def live(self) -> Live:
        """The index for queries that name none. Raises the errors of `choose`."""
        return self.choose(None)

    def choose(self, name: str | None) -> Live:
        """The live generation of an index, None for the first.

        Raises:
            QueryError: there is no index with this name, or it is not loaded yet.
        """
        wanted = self._first if name is None else name
        if wanted in self.indexes:
            return self.indexes[wanted].live
        if name is None or not self.indexes:
            raise QueryError("not_ready", NOT_READY)
        raise QueryError("unknown_index", f"There is no index {name!r}; the indexes are {', '.join(self.indexes)}.")

    @property
    def summaries(self) -> list[IndexSummary]:
        """The summaries of the loaded indexes."""
        return [index.live.summary for index in self.indexes.values() if index.loaded]

    async def check(self) -> None:
        """Raises QueryError with the reason, if the default index could not answer a query now."""
        live = self.live
        try:
            await asyncio.to_thread(self._decoders.check)
            if live.running.embedder.faults >= MOST_FAULTS:
                await asyncio.wrap_future(live.running.batcher.submit(live.running.embedder.probe()))
        except QueueFull:
            pass  # it is busy
        except QueryError:
            raise
        except Exception as error:
            raise QueryError("encoder_failed", ENCODER_FAILED) from error
        try:
            await asyncio.get_running_loop().run_in_executor(live.searching, live.bundle.check)
        except StoreAway as error:
            raise QueryError("store_away", STORE_AWAY) from error  # the error's own message contains an address
        except DamagedIndex as error:
            raise unreadable(live.name) from error

    def load(self) -> None:
        """Loads the live generation of every index, and new indexes in a folder of indexes.

        An index that cannot be loaded is left out, with an entry in the log.

        Raises:
            DacoError: none can be loaded.
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
        # an index that never answered and is no longer found is dropped: a folder of indexes that was briefly unmounted
        # looks like an index itself
        known = {name: index for name, index in self.indexes.items() if index.loaded or name in found} | fresh
        if not self._settled:
            self._first = next(iter(found))
            self._settled = self._first in self.indexes and self.indexes[self._first].loaded
        # a new dict, because requests may be reading the old one; the first index stays first
        self.indexes = {name: known[name] for name in sorted(known, key=lambda name: name != self._first)}

    def _load(self, index: ServedIndex) -> None:
        before = index.loaded
        if index.load() and before:
            summary = index.live.summary
            log.info("Generation %d of %s answers now: %d photographs.", summary.generation, index.name, summary.count)

    async def keep_current(self) -> None:
        """Loads the indexes and their new generations, until cancelled."""
        while True:
            await asyncio.to_thread(self._attempt, "", self._find)
            for index in list(self.indexes.values()):
                await asyncio.to_thread(self._attempt, index.name, partial(self._load, index))
            await asyncio.sleep(self.settings.reload_seconds)

    def _attempt(self, subject: str, work: Callable[[], None]) -> None:
        """Calls `work`; an error is logged if it differs from the last one."""
        try:
            work()
        except Exception as error:  # a network disk fails in many ways, and may work again at the next check
            self._complain(subject, error)
        else:
            self._complaints.pop(subject, None)

    def _complain(self, subject: str, error: Exception) -> None:
        is_ours = isinstance(error, DacoError)
        complaint = str(error) if is_ours else f"{subject or 'The indexes'} cannot be checked: {error!r}."
        if complaint != self._complaints.get(subject):
            log.error("%s", complaint, exc_info=None if is_ours else error)
        self._complaints[subject] = complaint

    def close(self) -> None:
        """Ends its threads and processes when no request uses them any more."""
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
        """Looks up a photograph.

        Args:
            live: the index to search.
            upload: the bytes of an image file.
            began: when the request began, by `time.perf_counter`.
            client: the client; clients take turns.
            upright: the operations that make the decoded image upright.

        Raises:
            QueryError: the file is not a supported image, the area contains no references, or the server is busy.
        """
        start = time.perf_counter()
        waiting = [upload]
        with live.running.embedder.at_work():
            try:
                tensor = await self.decoding.run(client, lambda: self._prepare(live, waiting, upright))
            finally:
                waiting.clear()  # cancelled work stays in the threads' queue for a while, but without its bytes
            decoded = time.perf_counter()
            try:
                with metrics.at_engine.track_inprogress():
                    embedding = await asyncio.wrap_future(live.running.batcher.submit(tensor))
            except QueueFull as error:
                raise QueryError("too_busy", TOO_BUSY) from error
        embedded = time.perf_counter()
        try:
            # in other threads than decoding, so that it does not wait behind later photographs
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
        if found.estimate.verdict == "uncalibrated":  # a calibration may exist, but for the other kind of ranking
            summary = replace(summary, calibrated=None)
        return Answer(found.matches, found.estimate, seconds, summary, live.names, found.cells)

    def _prepare(self, live: Live, waiting: list[bytes], upright: Sequence[Image.Transpose]) -> Prepared:
        form, upload = live.bundle.encoder.config, waiting.pop()
        image = self._decoders.decode(upload, form.image_size, form.resize == "square")
        for change in upright:
            image = image.transpose(change)
        return live.running.embedder.prepare(image)


def _search(live: Live, embedding: Embedding, options: QueryOptions) -> Lookup:
    only = None if options.area is None else _within(live, options.area)
    return look_up(live.bundle, live.calibration, embedding, options, only)


def _within(live: Live, area: SearchArea) -> list[int]:
    ids = area.ids(live.bundle.catalog)
    if not ids:
        raise QueryError("prior_holds_nothing", f"No reference photograph of {live.name} lies {area}.")
    return ids
