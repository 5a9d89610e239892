"""Photographs to descriptors, whole lists of files at a time."""

import hashlib
import sys
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from daco_core.encoder.preparation import Prepared
from daco_core.errors import StoreAway
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_core.photographs.locations import Location
from daco_core.photographs.positions.exif import read_exif
from daco_core.threads import available_cores
from daco_index.embedding.embedding_cache import Described, Memory, Photograph
from daco_index.embedding.engines.engine import Engine
from daco_index.references.object_stores import Source, read_source


@dataclass(frozen=True)
class Embedded:
    """What became of a list of n files.

    Args:
        vectors: (f, dimension), float32, length 1: of those of the m readable files that the live generation does not
            hold, in the order of the list; without `known`, of all.
        kept: the m positions in the list.
        held: (m,), the id under which the live generation holds the descriptor; -1 where `vectors` has it.
        photographs: what is known of each of the m.
        unreadable: the other n - m.
        embedded: how many of the m went through the engine; the descriptors of the others were known.
        exif: position in the list to the location in the photograph's EXIF, of those in an object store.
    """

    vectors: NDArray[np.float32]
    kept: list[int]
    held: NDArray[np.int64]
    photographs: list[Photograph]
    unreadable: list[UnreadableImage]
    embedded: int
    exif: dict[int, Location] = field(default_factory=dict)


def embed_files(
    engine: Engine,
    paths: Sequence[Source],
    batch_size: int = 16,
    workers: int = 0,
    strict: bool = False,
    progress: bool = True,
    known: Memory | None = None,
) -> Embedded:
    """Descriptors of image files; threads decode and resize ahead while the engine works.

    Args:
        known: descriptors that need not be made again; it is told of each that is made.
        workers: decoding threads; 0 for as many as there are cores.
        strict: an unreadable file stops the work, instead of being said on stderr and left out.
        progress: show count, rate and time left on stderr.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: what the engine raises.
    """
    vectors: dict[int, NDArray[np.float32]] = {}
    held: dict[int, int] = {}
    photographs: dict[int, Photograph] = {}
    unreadable: list[UnreadableImage] = []
    exif: dict[int, Location] = {}
    made = 0
    # a batch is of one shape, so each shape collects its own; beyond this many in all, the fullest goes as it is
    waiting: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}
    most_waiting = 4 * batch_size
    bar = tqdm(total=len(paths), desc="embedding", unit=" images", disable=not progress, file=sys.stderr)
    decoded = decode_ahead(engine, paths, workers or available_cores(), ahead=2 * batch_size, known=known)
    with bar, closing(decoded):

        def run(shape: tuple[int, ...]) -> None:
            nonlocal made
            rows, images = zip(*waiting.pop(shape), strict=True)
            fresh = engine.embed_prepared(images)
            if known is not None:
                known.remember([photographs[row] for row in rows], fresh)
            vectors.update(zip(rows, fresh, strict=True))
            made += len(rows)
            bar.update(len(rows))

        for row, outcome in enumerate(decoded):
            try:
                form, photographs[row], location = outcome.result()
            except UnreadableImage as error:
                if strict:
                    raise
                unreadable.append(error)
                tqdm.write(f"Skipped: {error}", file=sys.stderr)
                bar.update()
                continue
            if location is not None:
                exif[row] = location
            if isinstance(form, int) or form.ndim == 1:
                if isinstance(form, int):
                    held[row] = form
                else:
                    vectors[row] = form
                bar.update()
                continue
            waiting.setdefault(form.shape, []).append((row, form))
            if len(waiting[form.shape]) == batch_size:
                run(form.shape)
            elif sum(map(len, waiting.values())) >= most_waiting:
                run(max(waiting, key=lambda shape: len(waiting[shape])))
        for shape in list(waiting):
            run(shape)

    kept = sorted([*vectors, *held])
    stacked = np.array([vectors[row] for row in sorted(vectors)], np.float32).reshape(-1, engine.dimension)
    holders = np.array([held.get(row, -1) for row in kept], np.int64)
    return Embedded(stacked, kept, holders, [photographs[row] for row in kept], unreadable, made, exif)


# a prepared image (3, h, w), or what is known of its descriptor
Form = Prepared | Described
# of one file; with the location in its EXIF, if it is in an object store
Decoded = tuple[Form, Photograph, Location | None]


def decode_ahead(
    engine: Engine, paths: Sequence[Source], workers: int, ahead: int, known: Memory | None
) -> Generator[Future[Decoded]]:
    """The outcome for each path, in order, with no more than `ahead` of them decoded or in work at a time."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        started: deque[Future[Decoded]] = deque()
        for path in paths:
            started.append(pool.submit(_decode, engine, path, known))
            if len(started) >= ahead:
                yield started.popleft()
        while started:
            yield started.popleft()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(engine: Engine, path: Source, known: Memory | None) -> Decoded:
    try:
        str(path).encode()  # the catalogue and every answer are UTF-8
        content = read_source(path)
        digest = hashlib.sha256(content).hexdigest()
        location = read_exif(BytesIO(content)) if isinstance(path, str) else None
        if known is not None and (found := known.look_up(digest)) is not None:
            photograph, described = found
            return described, photograph, location
        image, size = open_reduced(path, engine.image_size, content)
        return engine.prepare(image), Photograph(*size, digest), location
    except (UnreadableImage, StoreAway):  # a store that is away says nothing about its photographs
        raise
    except UnicodeEncodeError as error:
        raise UnreadableImage(path, "its name is not UTF-8; rename it") from error
    except Exception as error:  # decoders fail in many ways, and one odd file must not cost the other million
        raise UnreadableImage(path, error) from error
