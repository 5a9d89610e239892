"""The indexes of a server: for each, the generation that answers queries now, and its engine."""

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
from daco_serve.engine.query_embedding import QueryEmbedder
from daco_serve.engine.tracking.states import States
from daco_serve.operation import metrics
from daco_serve.operation.settings import ServeSettings

log = logging.getLogger(__name__)

PAUSE = 15  # a generation that could not be opened is tried again after this many checks
NOT_READY = "The index is still being loaded: try again in a second."
SEARCHES_AT_ONCE = 8  # for one index, so that one with a slow vector store does not delay the others
# what clients are told about an index that cannot be opened; the error's own message contains paths and addresses
REASONS: dict[type[Exception], str] = {
    DamagedIndex: "its files are damaged, incomplete or of a newer version",
    DamagedEncoder: "its encoder is damaged or of a newer version",
    StoreAway: "the server that stores its vectors does not respond",
    NotFound: "its folder is missing",
    MissingExtra: "it needs a package that is not installed here",
}


@dataclass(frozen=True)
class Running:
    """An engine that embeds queries, warmed up, and the queue in front of it."""

    embedder: QueryEmbedder
    batcher: Batcher[Prepared, Embedding]

    @classmethod
    def start(cls, bundle: Bundle, settings: ServeSettings) -> "Running":
        """Creates the engine for an index's encoder and warms it up, so that the first query is not slower."""
        engine = query_engine(bundle, settings.device, settings.precision, settings.threads)
        log.info("%s embeds the queries.", engine.description)
        embedder = QueryEmbedder(engine, settings.max_batch)
        return cls(embedder, Batcher(embedder.embed, embedder.at_once, settings.max_waiting))


class Engines:
    """One engine for each encoder and precision, shared by the indexes that use it; removed when none does."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._running: WeakValueDictionary[tuple[str, ...], Running] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, bundle: Bundle) -> Running:
        """The engine of an index's encoder; started if it does not run yet."""
        manifest = bundle.manifest
        # two indexes may have different int8 forms of the same encoder
        forms = (record.sha256 for name, record in manifest.files.items() if name.startswith(f"{QUANTISED_FOLDER}/"))
        key = (manifest.encoder_fingerprint, manifest.queries.precision, *forms)
        with self._lock:
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = Running.start(bundle, self._settings)
            return running


@dataclass(frozen=True)
class Live:
    """One generation of an index, with its engine and calibration; a request uses the same one until it ends.

    Args:
        calibration: None if there is none.
        searching: the threads that search this index and no other.
    """

    name: str
    bundle: Bundle
    running: Running
    calibration: ActiveCalibration | None
    searching: ThreadPoolExecutor
    _making_states: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def states(self) -> States:
        """The references as the states of a track; computed once, which takes seconds for a large map."""
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
        """The file names of its references."""
        return SourceNames(self.bundle.manifest.sources)

    @property
    def summary(self) -> IndexSummary:
        """The summary of the index for answers."""
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
    """One index, whose newest generation answers queries."""

    def __init__(self, name: str, folder: Path, settings: ServeSettings, engines: Engines) -> None:
        self.name = name
        self.folder = folder
        self._settings = settings
        self._engines = engines
        self.problem: str | None = None  # why the newest generation cannot be used, for clients
        self._searching = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix=f"search {name}")
        self._live: Live | None = None
        self._seen: tuple[Current, int] | None = None
        self._failed: tuple[Current, float, DacoError] | None = None  # what could not be opened, until when, and why

    @property
    def live(self) -> Live:
        """The generation that answers now.

        Raises:
            QueryError: none is loaded yet, or it cannot be opened.
        """
        if self._live is not None:
            return self._live
        if self.problem is not None:
            raise QueryError("index_unavailable", f"The index {self.name} cannot be opened: {self.problem}.")
        raise QueryError("not_ready", NOT_READY)

    @property
    def loaded(self) -> bool:
        """Whether a generation is loaded."""
        return self._live is not None

    def load(self) -> bool:
        """Loads the live generation on disk; returns whether it differs from the one before.

        Raises:
            DacoError: there is no index, or it is damaged; the previous generation stays in use.
        """
        try:
            is_new = self._load()
        except Exception as error:
            self.problem = next((REASONS[kind] for kind in type(error).__mro__ if kind in REASONS), "it cannot be read")
            raise
        self.problem = None
        return is_new

    def close(self) -> None:
        """Ends its threads when no request needs them any more."""
        self._searching.shutdown(wait=False)

    def _load(self) -> bool:
        # resolved once, so that all files belong to one index even if a symbolic link is replaced in the meantime
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
        bundle.catalog.get([])  # loads the catalogue into memory, unless it is large
        metrics.generation.labels(self.name).set(bundle.manifest.generation)
        metrics.references.labels(self.name).set(bundle.manifest.count)
        self._live = Live(self.name, bundle, running, calibration, self._searching)
        self._seen = seen  # only now: if it is still being copied, or its server is away, it is tried again
        return True

    def _open(self, folder: Path, current: Current) -> Bundle:
        """The generation on disk; one that failed is tried again only after a while, because all files are read."""
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
    """The error for a client if the files of an index that was usable so far cannot be read; the log has details."""
    return QueryError("index_unavailable", f"The index {name} cannot be read: its files are damaged or were changed.")


def _changed(file: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 if there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
