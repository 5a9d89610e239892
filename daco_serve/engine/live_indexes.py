"""The indexes that a server answers from: of each the generation that answers now, and its engine."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import monotonic
from weakref import WeakValueDictionary

from daco_core.encoder.preparation import Prepared
from daco_core.errors import DacoError, DamagedEncoder, DamagedIndex, MissingExtra, NotFound, StoreAway
from daco_index.embedding.engines.engine import Embedding
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.generations.folders import CALIBRATION_FILE, Current, read_current
from daco_index.search.bundle import QUANTISED_FOLDER, Bundle
from daco_index.search.source_names import SourceNames
from daco_serve.engine.answers import IndexSummary, QueryError
from daco_serve.engine.batching import Batcher
from daco_serve.engine.calibration import ActiveCalibration
from daco_serve.engine.lookup import calibration_of
from daco_serve.engine.query_embedding import Describer
from daco_serve.engine.tracking.states import States
from daco_serve.operation import metrics
from daco_serve.operation.settings import ServeSettings

log = logging.getLogger(__name__)

PAUSE = 15  # looks that a generation which could not be opened is left in peace
NOT_READY = "The index is still being loaded: try again in a second."
SEARCHES_AT_ONCE = 8  # of one index, so that one whose vectors are far away keeps no other waiting
# what strangers are told of an index that cannot be opened; the sentence of the error itself names paths and addresses
REASONS: dict[type[Exception], str] = {
    DamagedIndex: "its files are damaged, incomplete or of a newer version",
    DamagedEncoder: "its encoder is damaged or of a newer version",
    StoreAway: "the server that holds its vectors does not answer",
    NotFound: "it is not where it was",
    MissingExtra: "it needs a package that is not installed here",
}


@dataclass(frozen=True)
class Running:
    """What embeds queries, warmed up, and the queue before it."""

    describer: Describer
    batcher: Batcher[Prepared, Embedding]

    @classmethod
    def start(cls, bundle: Bundle, settings: ServeSettings) -> "Running":
        """The engine for an index's encoder, warm: no query waits for what the first of its kind takes longer."""
        engine = query_engine(bundle, settings.device, settings.precision, settings.threads)
        log.info("%s embeds the queries.", engine.description)
        describer = Describer(engine, settings.max_batch)
        return cls(describer, Batcher(describer.describe, describer.at_once, settings.max_waiting))


class Engines:
    """One engine for each encoder in one precision, whichever indexes use it; gone when none does any more."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._running: WeakValueDictionary[tuple[str, ...], Running] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, bundle: Bundle) -> Running:
        """The engine of an index's encoder, started if it does not run yet."""
        manifest = bundle.manifest
        # two indexes may each have their own int8 form of one encoder
        forms = (record.sha256 for name, record in manifest.files.items() if name.startswith(f"{QUANTISED_FOLDER}/"))
        key = (manifest.encoder_fingerprint, manifest.queries.precision, *forms)
        with self._lock:
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = Running.start(bundle, self._settings)
            return running


@dataclass(frozen=True)
class Live:
    """One generation of an index, the engine for it and what its answers are worth; a request keeps what it began with.

    Args:
        calibration: what its answers are judged by; None where there is nothing.
        searching: the threads that search it, and no other index.
    """

    name: str
    bundle: Bundle
    running: Running
    calibration: ActiveCalibration | None
    searching: ThreadPoolExecutor
    _making_states: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def states(self) -> States:
        """The references as the states of a track; takes seconds of a large map, once, however many tracks need it."""
        with self._making_states:
            return self._states

    @cached_property
    def _states(self) -> States:
        try:
            return States(self.bundle.catalog.all())
        except DamagedIndex as error:
            raise unreadable(self.name) from error

    @cached_property
    def names(self) -> SourceNames:
        """What the files of its references are called."""
        return SourceNames(self.bundle.manifest.sources)

    @property
    def summary(self) -> IndexSummary:
        """What answers say of the index."""
        manifest = self.bundle.manifest
        return IndexSummary(
            name=self.name,
            generation=manifest.generation,
            count=manifest.count,
            backbone=manifest.backbone,
            encoder=manifest.encoder_fingerprint,
            calibrated=None if self.calibration is None else self.calibration.kind,
            reranks=self.bundle.local is not None,
        )


class ServedIndex:
    """One index, answered from its newest generation."""

    def __init__(self, name: str, folder: Path, settings: ServeSettings, engines: Engines) -> None:
        self.name = name
        self.folder = folder
        self._settings = settings
        self._engines = engines
        self.problem: str | None = None  # why the newest generation does not answer, for strangers
        self._searching = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix=f"search {name}")
        self._live: Live | None = None
        self._seen: tuple[Current, int] | None = None
        self._failed: tuple[Current, float, DacoError] | None = None  # what could not be opened, until when, and why

    @property
    def live(self) -> Live:
        """The generation that answers now.

        Raises:
            QueryError: none is loaded yet, or it cannot be.
        """
        if self._live is not None:
            return self._live
        if self.problem is not None:
            raise QueryError("index_unavailable", f"The index {self.name} cannot be opened: {self.problem}.")
        raise QueryError("not_ready", NOT_READY)

    @property
    def loaded(self) -> bool:
        """Whether a generation answers."""
        return self._live is not None

    def load(self) -> bool:
        """Takes up the live generation on disk; whether it is another than the one that answered before.

        Raises:
            DacoError: there is no index, or it is damaged; the previous generation keeps answering.
        """
        try:
            is_new = self._load()
        except Exception as error:
            self.problem = next((REASONS[kind] for kind in type(error).__mro__ if kind in REASONS), "it cannot be read")
            raise
        self.problem = None
        return is_new

    def close(self) -> None:
        """Ends its threads, once no request needs them."""
        self._searching.shutdown(wait=False)

    def _load(self) -> bool:
        # once, so that nothing is of another index where a symbolic link is exchanged meanwhile
        folder = self.folder.resolve()
        current = read_current(folder)
        seen = current, _changed(folder / CALIBRATION_FILE)
        bundle = self._live.bundle if self._live is not None else None
        if bundle is None or self._seen is None or self._seen[0] != current or bundle.changed:
            bundle = self._open(folder, current)
        elif seen == self._seen:
            return False
        running = self._engines.of(bundle)
        calibration = calibration_of(folder, bundle, self._settings.usual_rerank)
        bundle.catalog.get([])  # which is held in memory from then on, unless it is large
        metrics.generation.labels(self.name).set(bundle.manifest.generation)
        metrics.references.labels(self.name).set(bundle.manifest.count)
        self._live = Live(self.name, bundle, running, calibration, self._searching)
        self._seen = seen  # not before: what is still being copied, or whose server is away, is tried again
        return True

    def _open(self, folder: Path, current: Current) -> Bundle:
        """The generation on disk; one that could not be opened is tried again in a while, as all of it is hashed."""
        if self._failed is not None and self._failed[0] == current and monotonic() < self._failed[1]:
            raise self._failed[2]
        try:
            return Bundle.open(folder, self._settings.trust, self._settings.gpu)
        except StoreAway:
            raise
        except DacoError as error:
            self._failed = current, monotonic() + PAUSE * self._settings.reload_seconds, error
            raise


def unreadable(name: str) -> QueryError:
    """What a client is told where the files of an index that answered so far cannot be read; the log says more."""
    return QueryError("index_unavailable", f"The index {name} cannot be read: its files are damaged or were changed.")


def _changed(file: Path) -> int:
    """When a file last changed, in nanoseconds; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
