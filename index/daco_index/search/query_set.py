"""Looks up a query set in an index: embeds it in batches, like a build, and loads the index once."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from daco_core.encoder.preparation import Prepared
from daco_core.errors import NotFound, UsageError
from daco_core.photographs.formats import left_out_sentence
from daco_core.photographs.images import UnreadableImage, list_below
from daco_core.photographs.panoramas import PANORAMA_WARNING, looks_like_panorama
from daco_core.threads import available_cores
from daco_core.untrusted_text import printable
from daco_index.embedding.embed import decode_ahead
from daco_index.embedding.embedding_cache import Held
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_index.search.bundle import Bundle, SearchMatch

BATCH_SIZE = 16
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Query:
    """A photograph to look up.

    Args:
        path: of the file.
        name: its path relative to the folder that was given, as in lists of pairs.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Prediction:
    """The answer of an index to one query.

    Args:
        matches: best first; empty if the file cannot be read.
        unreadable: why the file cannot be read; None if it was looked up.
    """

    query: Query
    matches: list[SearchMatch]
    unreadable: UnreadableImage | None = None


@dataclass(frozen=True)
class QuerySet:
    """Photographs to look up.

    Args:
        queries: in the order in which they were given.
        other_files: number of other files in the folders, which cannot be read as photographs, by kind.
    """

    queries: list[Query]
    other_files: dict[str, int]


def find_queries(sources: Sequence[Path]) -> QuerySet:
    """The photographs in files and folders; those of a folder, including subfolders, are sorted by path.

    Raises:
        NotFound: there is no such file, or a folder contains no photographs.
        UsageError: a photograph is given twice.
        DacoError: a folder cannot be listed.
    """
    queries: list[Query] = []
    others: Counter[str] = Counter()
    for source in sources:
        if source.is_dir():
            contents = list_below(source)
            if not contents.images:
                there = f" ({left_out_sentence(contents.left_out)})" if contents.left_out else ""
                raise NotFound(f"{source} contains no photographs{there}.")
            others.update(contents.left_out)
            queries += [Query(image, image.relative_to(source).as_posix()) for image in contents.images]
        elif source.exists():
            queries.append(Query(source, source.name))
        else:
            raise NotFound(f"There is no photograph or folder {source}.")
    seen: set[Path] = set()
    for query in queries:
        if (absolute := query.path.absolute()) in seen:
            raise UsageError(f"{query.path} is given twice: give each photograph once.")
        seen.add(absolute)
    return QuerySet(queries, dict(others.most_common()))


def predict(
    bundle: Bundle,
    engine: Engine,
    queries: Sequence[Query],
    k: int,
    rerank: int = 0,
    batch_size: int = BATCH_SIZE,
    strict: bool = False,
    progress: bool = True,
) -> Iterator[Prediction]:
    """The matches of each query, in order. Threads decode the next files while the engine computes.

    Args:
        engine: of the index's encoder, in its variant for many photographs.
        k: number of matches for each; if the index is smaller, all of it.
        rerank: number of candidates that are re-ranked by their local descriptors; 0 for none.
        strict: stop at an unreadable file, instead of reporting it on stderr.
        progress: show count, rate and remaining time on stderr. A warning that photographs look like 360-degree
            panoramas is printed there in any case.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: an error of the engine or the index.
    """
    for batch in embedded_batches(engine, queries, batch_size, strict, progress):
        matches: list[list[SearchMatch]] = []
        if batch.embedding is not None:
            matches = bundle.search(batch.embedding.descriptors, k, local=batch.embedding.local, rerank=rerank)
        for query, found, unreadable in batch.answered(matches):
            yield Prediction(query, found or [], unreadable)


@dataclass(frozen=True)
class EmbeddedBatch:
    """Queries in order, and the descriptors of those that can be read.

    Args:
        queries: each with the reason why it cannot be read; None if it can.
        embedding: a row for each query that can be read; None if none can.
    """

    queries: list[tuple[Query, UnreadableImage | None]]
    embedding: Embedding | None

    def answered(self, answers: Iterable[Answer]) -> Iterator[tuple[Query, Answer | None, UnreadableImage | None]]:
        """Each query with its answer; `answers` has one for each row of the embedding."""
        following = iter(answers)
        for query, unreadable in self.queries:
            yield query, next(following) if unreadable is None else None, unreadable


def embedded_batches(
    engine: Engine, queries: Sequence[Query], batch_size: int, strict: bool, progress: bool
) -> Iterator[EmbeddedBatch]:
    """The queries in order and in batches, embedded. Arguments and errors are those of `predict`."""
    for batch in _prepared_batches(engine, queries, batch_size, strict, progress):
        images = [form for _, form in batch if not isinstance(form, UnreadableImage)]
        yield EmbeddedBatch(
            [(query, form if isinstance(form, UnreadableImage) else None) for query, form in batch],
            engine.embed_prepared_with_local(images) if images else None,
        )


PreparedBatch = list[tuple[Query, Prepared | UnreadableImage]]


def _prepared_batches(
    engine: Engine, queries: Sequence[Query], batch_size: int, strict: bool, progress: bool
) -> Iterator[PreparedBatch]:
    """The queries in order and in batches, each prepared for the engine, or with the reason why it cannot be read."""
    paths = [query.path for query in queries]
    bar = tqdm(total=len(paths), desc="searching", unit=" images", disable=not progress, file=sys.stderr)
    decoded = decode_ahead(engine, paths, available_cores(), ahead=2 * batch_size, known=None)
    batch: PreparedBatch = []
    panoramas: list[Path] = []
    with bar, closing(decoded):
        for query, outcome in zip(queries, decoded, strict=True):
            try:
                form, photograph, _ = outcome.result()
                if looks_like_panorama(photograph.width, photograph.height):
                    panoramas.append(query.path)
                assert not isinstance(form, Held)  # because no cache was given
                batch.append((query, form))
            except UnreadableImage as error:
                if strict:
                    raise
                tqdm.write(f"Skipped: {printable(str(error))}", file=sys.stderr)
                batch.append((query, error))
            if len(batch) == batch_size:
                yield batch
                bar.update(len(batch))
                batch = []
        if batch:
            yield batch
        bar.update(len(batch))
    if panoramas:
        others = f" (and {'1 other' if len(panoramas) == 2 else f'{len(panoramas) - 1} others'})"
        name = f"{panoramas[0]}{others if len(panoramas) > 1 else ''}"
        print(f"Warning: {printable(name)}: {PANORAMA_WARNING}", file=sys.stderr)
