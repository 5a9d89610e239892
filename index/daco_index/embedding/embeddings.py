"""The second stage of a build: turns the photographs into catalogue entries with descriptors."""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daco_core.encoder.stored import StoredEncoder
from daco_core.errors import DacoError
from daco_core.photographs.coordinates import POSITION_FIELDS
from daco_core.photographs.distances import is_placed
from daco_core.photographs.images import UnreadableImage
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.positions.plausibility import check_plausibility
from daco_core.photographs.positions.unusable import Unusable, describe_unusable
from daco_index.embedding.embed import EmbeddedFiles, embed_files
from daco_index.embedding.embedding_cache import EmbeddingCache, Photograph
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.descriptors import Descriptors, LocalRows
from daco_index.generations.specification import GenerationSpec, Target
from daco_index.references.changes import References
from daco_index.reranking.local_file import LOCAL_WIDTH, LocalForm
from daco_index.reranking.voting import Grid
from daco_index.search.bundle import Bundle, highest_next_id
from daco_index.search.catalog import Entry


@dataclass(frozen=True)
class Embeddings:
    """The result of embedding the references.

    Args:
        spec: the new generation.
        engine: the engine that embedded them, in fp32.
        unreadable: photographs that could not be read.
        kept: paths of the unreadable ones whose entries in the previous generation are kept.
        embedded: how many the encoder embedded; the descriptors of the others were known.
        seconds: the time of embedding.
        notes: sentences about positions in the EXIF of files in an object store that are doubtful or cannot be used.
    """

    spec: GenerationSpec
    engine: Engine
    unreadable: list[UnreadableImage]
    kept: list[str]
    embedded: int
    seconds: float
    notes: list[str]


def embed_references(
    references: References, target: Target, encoder: StoredEncoder, options: EmbeddingOptions
) -> Embeddings:
    """Reads the photographs and embeds those with unknown content; new ids follow the highest one ever used.

    A file with an unchanged content keeps its id; one with a changed content gets a new id.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: no photograph is left, or the encoder cannot be run.
    """
    engine = create_engine(encoder, options.device, goal="throughput")
    live, comparable = target.before, None
    if live and live.manifest.encoder_fingerprint == engine.fingerprint:
        comparable = live
    form = _local_form(options, engine, comparable)
    cache = EmbeddingCache(target.writer.embedded, engine.fingerprint, engine.dimension, form)
    if comparable and (form is None or (comparable.local is not None and comparable.local.form == form)):
        before = comparable.catalog.all()
        cache.hold([Photograph(entry.width, entry.height, entry.sha256) for entry in before], [e.id for e in before])
    start = time.perf_counter()
    files = _embed(references, engine, encoder, cache, options)
    seconds = time.perf_counter() - start
    next_id = highest_next_id(target.writer.index)
    found = _entries(references, files, live.catalog.all() if live else [], next_id)
    unreadable = {str(error.path) for error in files.unreadable}
    kept = [entry for entry in references.held if entry.path in unreadable] if comparable else []
    if not found and not kept and not references.staying:
        raise DacoError(
            f"No photograph in {references.provenance.source} can be read ({len(references.found)} tried)."
            f" First: {files.unreadable[0]}"
        )
    staying = [*references.staying, *kept]
    spec = GenerationSpec(
        provenance=references.provenance,
        encoder=encoder,
        entries=sorted([*staying, *found], key=lambda entry: entry.id),
        descriptors=_descriptors(found, files, staying, comparable, form),
        next_id=next_id,
    )
    kept_paths = [entry.path for entry in kept]
    return Embeddings(
        spec, engine, files.unreadable, kept_paths, files.embedded, seconds, _exif_notes(references, files)
    )


def _exif_notes(references: References, files: EmbeddedFiles) -> list[str]:
    """The notes about positions that are found only when a photograph is read; for folders they are known before."""
    seen = [(reference, files.exif.get(row)) for row, reference in enumerate(references.found)]
    read = [(Path(str(reference.path)), found) for reference, found in seen if not is_placed(reference)]
    return [
        *describe_unusable((path, found) for path, found in read if isinstance(found, Unusable)),
        *check_plausibility([(path, found) for path, found in read if isinstance(found, PhotoLocation)]),
    ]


def _local_form(options: EmbeddingOptions, engine: Engine, before: Bundle | None) -> LocalForm | None:
    """The form of the local descriptors of the new generation; None for none."""
    if engine.local_grid is None or options.local == "none":
        return None
    if options.local is None:
        return before.local.form if before and before.local else None
    return LocalForm.of(Grid(*engine.local_grid), LOCAL_WIDTH, small=options.local == "half")


def _embed(
    references: References, engine: Engine, encoder: StoredEncoder, cache: EmbeddingCache, options: EmbeddingOptions
) -> EmbeddedFiles:
    paths = [reference.path for reference in references.found]
    if options.on_ray:
        from daco_index.embedding.ray_cluster import embed_with_ray

        return embed_with_ray(encoder, paths, cache, options)
    return embed_files(engine, paths, options.batch_size, strict=options.strict, progress=options.progress, known=cache)


def _entries(references: References, files: EmbeddedFiles, before: Iterable[Entry], next_id: int) -> list[Entry]:
    """The entries of the readable references."""
    ids = {(entry.path, entry.sha256): entry.id for entry in before}
    fresh = itertools.count(next_id)
    entries = []
    for row, photograph in zip(files.kept, files.photographs, strict=True):
        reference = references.found[row]
        if not is_placed(reference) and isinstance(seen := files.exif.get(row), PhotoLocation):
            reference = reference.at(seen)
        known_id = ids.get((str(reference.path), photograph.sha256))
        entries.append(
            Entry(
                id=next(fresh) if known_id is None else known_id,
                path=str(reference.path),
                place=reference.place,
                width=photograph.width,
                height=photograph.height,
                sha256=photograph.sha256,
                **{name: getattr(reference, name) for name in POSITION_FIELDS},
            )
        )
    return entries


def _descriptors(
    found: list[Entry],
    files: EmbeddedFiles,
    staying: list[Entry],
    before: Bundle | None,
    form: LocalForm | None,
) -> Descriptors:
    """Combines the new descriptors with those that the previous generation holds, including copies."""
    descriptors = Descriptors(files.vectors.shape[1])
    ids = np.array([entry.id for entry in found], dtype=np.int64)
    made = files.held < 0
    local = None if form is None or files.local is None else LocalRows(form, files.local)
    descriptors.make(ids[made], files.vectors, local, files.rows[made])
    if before:
        there = None if form is None else before.local
        descriptors.hold(ids[~made], before.store, files.held[~made], there)
        descriptors.hold([entry.id for entry in staying], before.store, local=there)
    return descriptors
