"""Embeds lists of image files."""

import hashlib
import sys
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from daco_core.encoder.preparation import Prepared
from daco_core.errors import DamagedEncoder, MissingExtra, StoreAway
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions.exif import find_exif_position
from daco_core.photographs.positions.unusable import Unusable
from daco_core.threads import available_cores
from daco_core.untrusted_text import printable
from daco_index.embedding.embedding_cache import Held, KnownEmbeddings, Photograph
from daco_index.embedding.engines.engine import Engine
from daco_index.references.object_stores import Source, read_source


@dataclass(frozen=True)
class EmbeddedFiles:
    """The result of embedding a list of n files, of which m are readable.

    Args:
        vectors: descriptors, float32, length 1. Without a cache (m, dimension), in the order of the list; with one,
            (records, dimension), mapped from the cache's file.
        local: the encoded local descriptors, with the same rows as `vectors`; None if the cache stores none.
        kept: the positions of the m files in the list.
        rows: (m,), their rows in `vectors`; -1 if the live generation holds the descriptor.
        held: (m,), the id under which the live generation holds the descriptor; -1 if it is in `vectors`.
        photographs: size and hash of each of the m.
        unreadable: the other n - m.
        embedded: how many of the m the engine embedded; the descriptors of the others were known.
        exif: for files in an object store, position in the list to the location in the photograph's EXIF, or to the
            reason why that cannot be used.
    """

    vectors: NDArray[np.float32]
    local: NDArray[np.uint8] | None
    kept: list[int]
    rows: NDArray[np.int64]
    held: NDArray[np.int64]
    photographs: list[Photograph]
    unreadable: list[UnreadableImage]
    embedded: int
    exif: dict[int, PhotoLocation | Unusable] = field(default_factory=dict)


class EmbeddedSoFar:
    """Collects the results for the files processed so far.

    Args:
        count: number of files in the list.
        dimension: of the descriptors.
        known: stores the descriptors; None to store them here.
    """

    def __init__(self, count: int, dimension: int, known: KnownEmbeddings | None) -> None:
        self._shape, self._known = (count, dimension), known
        self._vectors: NDArray[np.float32] | None = None  # in the order of the list, unless `known` stores them
        self._local: NDArray[np.uint8] | None = None
        self._rows: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self.photographs: dict[int, Photograph] = {}
        self.unreadable: dict[int, UnreadableImage] = {}
        self.exif: dict[int, PhotoLocation | Unusable] = {}
        self.embedded = 0

    def take(
        self, positions: Sequence[int], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None = None
    ) -> None:
        """Adds the new descriptors of n files whose `photographs` are already recorded.

        Args:
            local: (n, row_bytes), their local descriptors in the form of `known.local_form`.

        Raises:
            DamagedEncoder: a descriptor is not finite.
        """
        _check_finite(vectors)
        rows = None
        if self._known is not None:
            rows = self._known.remember([self.photographs[position] for position in positions], vectors, local)
        if rows is None:
            if self._vectors is None:
                self._vectors = np.empty(self._shape, dtype=np.float32)
            rows = np.array(positions, dtype=np.int64)
            self._vectors[rows] = vectors
            if local is not None:
                if self._local is None:
                    self._local = np.empty((self._shape[0], local.shape[1]), dtype=np.uint8)
                self._local[rows] = local
        self._rows.update(zip(positions, rows.tolist(), strict=True))
        self.embedded += len(positions)

    def skip(self, position: int, held: Held) -> None:
        """Records that the descriptor of a file is known already."""
        self.photographs[position] = held.photograph
        (self._held if held.live else self._rows)[position] = held.row

    def done(self) -> EmbeddedFiles:
        """The result for all files."""
        kept = sorted([*self._rows, *self._held])
        rows = np.array([self._rows.get(position, -1) for position in kept], np.int64)
        local = self._local
        if self._vectors is not None:
            made = rows >= 0
            vectors = self._vectors if made.sum() == len(self._vectors) else self._vectors[rows[made]]
            local = None if local is None else local[rows[made]]
            rows[made] = np.arange(made.sum())
        elif self._known is not None:
            vectors, local = self._known.vectors, self._known.local
        else:
            vectors = np.empty((0, self._shape[1]), dtype=np.float32)
        return EmbeddedFiles(
            vectors=vectors,
            local=local,
            kept=kept,
            rows=rows,
            held=np.array([self._held.get(position, -1) for position in kept], np.int64),
            photographs=[self.photographs[position] for position in kept],
            unreadable=[self.unreadable[position] for position in sorted(self.unreadable)],
            embedded=self.embedded,
            exif=self.exif,
        )


def embed_files(
    engine: Engine,
    paths: Sequence[Source],
    batch_size: int = 16,
    workers: int = 0,
    strict: bool = False,
    progress: bool = True,
    known: KnownEmbeddings | None = None,
) -> EmbeddedFiles:
    """Embeds image files. Threads decode and resize the next files while the engine computes.

    Args:
        known: descriptors that need not be computed again. New ones are added to it; it also determines which local
            descriptors are computed.
        workers: decoding threads; 0 for as many as there are cores.
        strict: stop at an unreadable file, instead of reporting it on stderr and leaving it out.
        progress: show count, rate and remaining time on stderr.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: an error of the engine.
    """
    so_far = EmbeddedSoFar(len(paths), engine.dimension, known)
    form = None if known is None else known.local_form
    # a batch has one shape, so each shape is collected separately; when too many images wait, the fullest batch is run
    waiting: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}
    most_waiting = 4 * batch_size
    bar = tqdm(total=len(paths), desc="embedding", unit=" images", disable=not progress, file=sys.stderr)
    decoded = decode_ahead(engine, paths, workers or available_cores(), ahead=2 * batch_size, known=known)
    with bar, closing(decoded):

        def run(shape: tuple[int, ...]) -> None:
            rows, images = zip(*waiting.pop(shape), strict=True)
            if form is None:
                so_far.take(rows, engine.embed_prepared(images))
            else:
                embedding = engine.embed_prepared_with_local(images)
                assert embedding.local is not None  # as the form is that of its grid
                _check_finite(embedding.descriptors)  # before they are encoded, which needs finite numbers
                so_far.take(rows, embedding.descriptors, form.encode(embedding.local))
            bar.update(len(rows))

        for row, outcome in enumerate(decoded):
            try:
                found, photograph, location = outcome.result()
            except UnreadableImage as error:
                if strict:
                    raise
                so_far.unreadable[row] = error
                tqdm.write(f"Skipped: {printable(str(error))}", file=sys.stderr)
                bar.update()
                continue
            if location is not None:
                so_far.exif[row] = location
            if isinstance(found, Held):
                so_far.skip(row, found)
                bar.update()
                continue
            so_far.photographs[row] = photograph
            waiting.setdefault(found.shape, []).append((row, found))
            if len(waiting[found.shape]) == batch_size:
                run(found.shape)
            elif sum(map(len, waiting.values())) >= most_waiting:
                run(max(waiting, key=lambda shape: len(waiting[shape])))
        for shape in list(waiting):
            run(shape)
    return so_far.done()


def _check_finite(vectors: NDArray[np.float32]) -> None:
    """Raises DamagedEncoder if descriptors are not finite."""
    if not np.isfinite(vectors).all():
        raise DamagedEncoder(
            "The encoder returns descriptors that are not finite, so its weights are unusable: train it again."
        )


# a prepared image (3, h, w), or the place of its known descriptor
Form = Prepared | Held
# for one file; with the location in its EXIF if it is in an object store
Decoded = tuple[Form, Photograph, PhotoLocation | Unusable | None]


def decode_ahead(
    engine: Engine, paths: Sequence[Source], workers: int, ahead: int, known: KnownEmbeddings | None
) -> Generator[Future[Decoded]]:
    """Yields the outcome for each path in order; at most `ahead` files are decoded or in progress at a time."""
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


def _decode(engine: Engine, path: Source, known: KnownEmbeddings | None) -> Decoded:
    try:
        str(path).encode()  # the catalogue and all answers are UTF-8
        content = read_source(path)
        digest = hashlib.sha256(content).hexdigest()
        location = find_exif_position(Path(path), content) if isinstance(path, str) else None
        if known is not None and (found := known.look_up(digest)) is not None:
            return found, found.photograph, location
        image, size = open_reduced(path, engine.image_size, content)
        return engine.prepare(image), Photograph(*size, digest), location
    except (UnreadableImage, StoreAway, MissingExtra):  # a store that does not respond is no fault of its photographs
        raise
    except UnicodeEncodeError as error:
        raise UnreadableImage(path, "its name is not UTF-8; rename it") from error
    except Exception as error:  # decoders fail in many ways, and one bad file must not end the build
        raise UnreadableImage(path, error) from error
