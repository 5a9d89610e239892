"""The indexes that a server answers from: of each the generation that answers now, and its engine."""

import threading
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daco_serve.batching import Batcher
from daco_serve.errors import Refusal
from daco_serve.schemas import IndexState
from daco_serve.settings import ServeSettings
from index.bundle import Bundle
from index.embed import Engine, TorchEngine
from index.generations import Current, read_current


@dataclass(frozen=True)
class Running:
    """An engine that is warm, and the queue before it."""

    engine: Engine
    batcher: Batcher[Tensor, NDArray[np.float32]]

    @classmethod
    def start(cls, bundle: Bundle, settings: ServeSettings) -> "Running":
        """The engine for an index's encoder, warmed with one dummy image."""
        engine = TorchEngine(bundle.encoder, settings.device)
        size = bundle.encoder.config.image_size
        engine.embed([Image.new("RGB", (size * 4 // 3, size))])
        batcher = Batcher[Tensor, NDArray[np.float32]](
            lambda tensors: list(engine.embed_prepared(tensors)), settings.max_batch, settings.max_waiting
        )
        return cls(engine, batcher)


class Engines:
    """One engine for each encoder, whichever indexes use it; gone when none does any more."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._running: WeakValueDictionary[str, Running] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, bundle: Bundle) -> Running:
        """The engine of an index's encoder, started if it does not run yet."""
        fingerprint = bundle.manifest.encoder_fingerprint
        with self._lock:
            running = self._running.get(fingerprint)
            if running is None:
                running = self._running[fingerprint] = Running.start(bundle, self._settings)
            return running


@dataclass(frozen=True)
class Live:
    """One generation of an index and the engine for it; a request keeps the one it began with."""

    name: str
    bundle: Bundle
    running: Running

    @property
    def state(self) -> IndexState:
        """What answers say of the index."""
        manifest = self.bundle.manifest
        return IndexState(
            name=self.name,
            generation=manifest.generation,
            count=manifest.count,
            backbone=manifest.backbone,
            encoder=manifest.encoder_fingerprint,
        )


class ServedIndex:
    """One index, answered from its newest generation."""

    def __init__(self, name: str, folder: Path, settings: ServeSettings, engines: Engines) -> None:
        self.name = name
        self.folder = folder
        self._settings = settings
        self._engines = engines
        self._live: Live | None = None
        self._seen: Current | None = None

    @property
    def live(self) -> Live:
        """The generation that answers now.

        Raises:
            Refusal: none is loaded yet.
        """
        if self._live is None:
            raise Refusal("not_ready")
        return self._live

    @property
    def loaded(self) -> bool:
        """Whether a generation answers."""
        return self._live is not None

    def load(self) -> bool:
        """Takes up the live generation on disk; whether it is another than the one that answered before.

        Raises:
            DacoError: there is no index, or it is damaged; what answered before goes on answering.
        """
        current = read_current(self.folder)
        if current == self._seen:
            return False
        self._seen = current  # a damaged generation is complained of once, not at every look
        bundle = Bundle.open(self.folder, self._settings.trust)
        self._live = Live(self.name, bundle, self._engines.of(bundle))
        return True
