"""Compares the speed of `daco-index build`, from file to descriptor, with that of the bare engine."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from daco_core.encoder.preparation import Prepared
from daco_core.errors import DacoError
from daco_core.threads import available_cores
from daco_index.embedding.embed import decode_ahead, embed_files
from daco_index.embedding.embedding_cache import Held
from daco_index.embedding.engines.engine import Engine

HELD = 256  # prepared images in memory for the bare engine


@dataclass(frozen=True)
class EmbeddingSpeed:
    """Images per second, medians over the rounds.

    Args:
        engine: a description of the engine.
        images: in a round.
        rounds: number of rounds, in which the three take turns.
        bare: speed of the engine with prepared images in batches.
        decoding: speed of reading, decoding and resizing alone, on all cores.
        whole: speed of `embed_files`, which `daco-index build` uses.
        busy: share of that time in which the engine was computing, which other load on the machine hardly affects.
        on_processor: whether the engine and the decoding share the cores.
    """

    engine: str
    images: int
    rounds: int
    bare: float
    decoding: float
    whole: float
    busy: float
    on_processor: bool

    @property
    def possible(self) -> float:
        """The possible maximum: on a CPU the times of both add up; otherwise the slower of the two determines it."""
        if self.on_processor:
            return 1 / (1 / self.bare + 1 / self.decoding)
        return min(self.bare, self.decoding)


def embedding_speed(
    engine: Engine, paths: Sequence[Path | str], batch_size: int, rounds: int, device: str
) -> EmbeddingSpeed:
    """Measures the three in turns on the same photographs.

    Args:
        device: the engine's device, by PyTorch's name.

    Raises:
        DacoError: no photograph can be read.
    """
    tensors = _prepared(engine, paths[:HELD])
    if not tensors:
        raise DacoError("No photograph can be read.")
    batches = _batches(tensors, batch_size)
    engine.embed_prepared(batches[0])  # excludes the compilation at the first call
    watched = _Watched(engine)
    rates: dict[str, list[float]] = {"bare": [], "decoding": [], "whole": [], "busy": []}
    for _ in range(rounds):
        rates["bare"].append(_rate(len(tensors), lambda: [engine.embed_prepared(batch) for batch in batches]))
        rates["decoding"].append(_rate(len(paths), lambda: _prepared(engine, paths, keep=False)))
        watched.seconds = 0.0
        rates["whole"].append(_rate(len(paths), lambda: embed_files(watched, paths, batch_size, progress=False)))
        rates["busy"].append(watched.seconds * rates["whole"][-1] / len(paths))
    medians = {name: round(median(values), 2) for name, values in rates.items()}
    on_processor = device == "cpu"
    return EmbeddingSpeed(engine.description, len(paths), rounds, **medians, on_processor=on_processor)


class _Watched:
    """An engine that records how many seconds it has computed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0
        self.dimension, self.fingerprint = engine.dimension, engine.fingerprint
        self.image_size, self.description, self.at_once = engine.image_size, engine.description, engine.at_once
        self.prepare, self.embed, self.for_many = engine.prepare, engine.embed, engine.for_many
        self.local_grid, self.embed_prepared_with_local = engine.local_grid, engine.embed_prepared_with_local

    def embed_prepared(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = self._engine.embed_prepared(images)
        self.seconds += time.perf_counter() - start
        return vectors


def _prepared(engine: Engine, paths: Sequence[Path | str], keep: bool = True) -> list[Prepared]:
    """The prepared images of the files that can be read."""
    tensors = []
    with closing(decode_ahead(engine, paths, available_cores(), 64, None)) as outcomes:
        for outcome in outcomes:
            if outcome.exception() is None:
                form = outcome.result()[0]
                assert not isinstance(form, Held)  # because there is no cache
                if keep:
                    tensors.append(form)
    return tensors


def _batches(tensors: Sequence[Prepared], size: int) -> list[list[Prepared]]:
    """Batches in which all images have the same shape, as in `embed_files`."""
    shapes: dict[tuple[int, ...], list[Prepared]] = {}
    for tensor in tensors:
        shapes.setdefault(tuple(tensor.shape), []).append(tensor)
    return [same[start : start + size] for same in shapes.values() for start in range(0, len(same), size)]


def _rate(images: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return images / (time.perf_counter() - start)
