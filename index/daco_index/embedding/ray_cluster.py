"""Embeds photographs on many machines: Ray Data distributes shards of the list to copies of the encoder."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from daco_core.encoder.stored import StoredEncoder, open_encoder
from daco_core.errors import DacoError, MissingExtra, StoreAway
from daco_core.photographs.images import UnreadableImage
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions.unusable import Unusable
from daco_core.untrusted_text import printable
from daco_index.embedding.embed import EmbeddedFiles, EmbeddedSoFar, embed_files
from daco_index.embedding.embedding_cache import EmbeddingCache, Held, Photograph
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.references.object_stores import Source, as_source
from daco_index.reranking.local_file import LocalForm

SHARD = 512  # photographs in a shard; an interruption loses at most one shard for each copy of the encoder
PREFIX = 16  # hexadecimal digits of a content's hash that are sent to the copies


class Contents:
    """Tells every copy of the encoder which contents are known; only the driver knows their descriptors.

    Args:
        prefixes: of their hashes, sorted.
        local_form: of the local descriptors to compute with the others.
    """

    local = None  # none are stored here

    def __init__(self, prefixes: NDArray[np.uint64], local_form: LocalForm | None) -> None:
        self._prefixes = prefixes
        self.local_form = local_form

    def look_up(self, sha256: str) -> Held | None:
        """A placeholder with the hash if the content is known, else None."""
        prefix = np.uint64(int(sha256[:PREFIX], 16))
        place = int(np.searchsorted(self._prefixes, prefix))
        known = place < len(self._prefixes) and self._prefixes[place] == prefix
        return Held(Photograph(0, 0, sha256), 0, live=True) if known else None

    def remember(
        self, photographs: Sequence[Photograph], vectors: NDArray[np.float32], local: NDArray[np.uint8] | None
    ) -> None:
        """Does nothing: the driver stores the descriptors once the shard is complete."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Stores none."""
        return np.empty((0, 0), dtype=np.float32)


class EncoderCopy:
    """The encoder in a Ray process, which embeds one shard at a time.

    Args:
        files: the encoder's files, by name.
        prefixes, local_form: see `Contents`.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        batch_size: int,
        device: str,
        trust: bool,
        prefixes: NDArray[np.uint64],
        local_form: LocalForm | None,
    ) -> None:
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._engine = create_engine(open_encoder(Path(folder), trust), device, threads=1, goal="throughput")
        self._batch_size = batch_size
        self._known = Contents(prefixes, local_form)

    def __call__(self, shard: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Embeds the photographs `path` in the rows `row` of the list; returns a column for each result."""
        paths = [as_source(text) for text in shard["path"].tolist()]
        count, failure = len(paths), ""
        try:
            embedded = embed_files(self._engine, paths, self._batch_size, progress=False, known=self._known)
        except DacoError as error:  # returned as a value, because Ray would pass on a traceback
            failure = str(error)
            embedded = embed_files(self._engine, [], progress=False)
        vectors = np.zeros((count, self._engine.dimension), dtype=np.float32)
        form = self._known.local_form
        local = np.zeros((count, form.row_bytes if form else 0), dtype=np.uint8)
        kept = np.array(embedded.kept, dtype=np.int64)
        made = embedded.rows >= 0
        if made.any():
            vectors[kept[made]] = embedded.vectors[embedded.rows[made]]
            if embedded.local is not None:
                local[kept[made]] = embedded.local[embedded.rows[made]]
        known, sizes, hashes = np.zeros(count, dtype=bool), np.zeros((count, 2), dtype=np.int64), [""] * count
        known[kept[embedded.held >= 0]] = True
        for row, photograph in zip(embedded.kept, embedded.photographs, strict=True):
            sizes[row], hashes[row] = (photograph.width, photograph.height), photograph.sha256
        reasons = {str(error.path): error.reason for error in embedded.unreadable}
        exif = [embedded.exif.get(row) for row in range(count)]
        located = [one if isinstance(one, PhotoLocation) else None for one in exif]
        places = [(one.latitude, one.longitude, one.heading, one.altitude) if one else (None,) * 4 for one in located]
        return {
            "row": shard["row"],
            "vector": vectors,
            "local": local,
            "known": known,
            "size": sizes,
            "sha256": np.array(hashes),
            "reason": np.array([reasons.get(text, "") for text in shard["path"].tolist()]),
            "place": np.array(places, dtype=np.float64),
            "unusable": np.array([one.reason if isinstance(one, Unusable) else "" for one in exif]),
            "failure": np.full(count, failure),
        }


def embed_with_ray(
    encoder: StoredEncoder,
    paths: Sequence[Source],
    cache: EmbeddingCache,
    options: EmbeddingOptions,
    shard: int = SHARD,
) -> EmbeddedFiles:
    """Embeds image files with copies of the encoder on Ray's cores or GPUs; the result is that of `embed_files`.

    The cluster is the one in RAY_ADDRESS, or this machine. Every machine in it needs daco-serve, and must be able to
    read the photographs under the same paths or addresses. Each completed shard is added to the cache.

    Args:
        shard: number of photographs in a shard.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: Ray is not installed or cannot be reached, or a copy of the encoder fails.
    """
    so_far = EmbeddedSoFar(len(paths), encoder.dimension, cache)
    bar = tqdm(total=len(paths), desc="embedding", unit=" images", disable=not options.progress, file=sys.stderr)
    with bar, _running() as ray:
        for answer in _shards(ray, encoder, paths, cache, options, shard):
            if failure := str(answer["failure"][0]):
                raise DacoError(failure)
            fresh: list[tuple[int, int]] = []  # rows of the list, and rows of the shard
            sizes = answer["size"]
            for place, row in enumerate(answer["row"].tolist()):
                reason, sha256 = str(answer["reason"][place]), str(answer["sha256"][place])
                if reason:
                    so_far.unreadable[row] = error = UnreadableImage(paths[row], reason)
                    if options.strict:
                        raise error
                    tqdm.write(f"Skipped: {printable(str(error))}", file=sys.stderr)
                    continue
                if not np.isnan(answer["place"][place, 0]):
                    so_far.exif[row] = _location(answer["place"][place])
                elif unusable := str(answer["unusable"][place]):
                    so_far.exif[row] = Unusable("EXIF", unusable)
                if answer["known"][place]:
                    held = cache.look_up(sha256)
                    assert held is not None, "two contents have hashes with the same beginning"
                    so_far.skip(row, held)
                else:
                    so_far.photographs[row] = Photograph(int(sizes[place, 0]), int(sizes[place, 1]), sha256)
                    fresh.append((row, place))
            if fresh:
                rows, places = zip(*fresh, strict=True)
                local = answer["local"][list(places)] if cache.local_form else None
                so_far.take(rows, answer["vector"][list(places)], local)
            bar.update(len(answer["row"]))
    return so_far.done()


def _shards(
    ray: Any,
    encoder: StoredEncoder,
    paths: Sequence[Source],
    cache: EmbeddingCache,
    options: EmbeddingOptions,
    shard: int,
) -> Iterator[dict[str, NDArray[Any]]]:
    """The results of the copies of the encoder, shard by shard, in order of completion."""
    import pyarrow

    files = {file.name: file.read_bytes() for file in encoder.files}
    prefixes = np.sort(np.array([int(sha256[:PREFIX], 16) for sha256 in cache.contents()], dtype=np.uint64))
    rows = range(0, len(paths), shard)
    tables = [
        pyarrow.table({"row": range(at, min(at + shard, len(paths))), "path": list(map(str, paths[at : at + shard]))})
        for at in rows
    ]
    resources = ray.cluster_resources()
    on_gpus = options.device != "cpu" and resources.get("GPU", 0) >= 1
    copies = int(resources["GPU"] if on_gpus else resources["CPU"])
    answers = ray.data.from_arrow(tables).map_batches(
        EncoderCopy,
        fn_constructor_args=(files, options.batch_size, options.device, options.trust, prefixes, cache.local_form),
        batch_size=None,  # each table is a shard
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(copies, len(tables)))),
        num_cpus=1,
        num_gpus=1 if on_gpus else 0,
    )
    try:
        yield from answers.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        raise DacoError(f"Ray could not embed the photographs: {cause or error}".splitlines()[0]) from error


@contextmanager
def _running() -> Iterator[Any]:
    """Starts Ray or connects to it, unless that was done before."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # the errors below report failures
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("--engine ray needs Ray, which is not installed: pip install 'daco-serve[ray]'.") from error
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise StoreAway(f"Ray cannot be reached: {error}".splitlines()[0]) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name in ("ray.data", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _location(place: NDArray[np.float64]) -> PhotoLocation:
    latitude, longitude, heading, altitude = (None if np.isnan(one) else one for one in place.tolist())
    return PhotoLocation(latitude, longitude, heading, altitude=altitude)
