"""How an index is made: found -> embedded -> arranged -> written -> proved -> published.

    references = references_to_build(source, ...)                     found: photographs and their positions
    embeddings = embed_references(references, target, encoder, ...)   embedded: catalogue entries and descriptors
    arrangement = arrange_search(spec, target, ...)                   arranged: the search index of the descriptors
    write_contents(number, folder, spec, arrangement, target)         written: the files of a new generation
    queries = prove(folder)                                           proved: the fastest precision of queries
    leaving `writer.new_generation()`                                 published: CURRENT names the new generation

`build_index` below goes through all stages. `add` and `update` find other references and then do the same; `remove`,
`merge` and `rollback` have all descriptors already, and begin with `publish`.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from daco_core.encoder.stored import StoredEncoder
from daco_core.errors import DacoError, UsageError
from daco_core.files import link_or_copy
from daco_core.recordings.extraction import Extraction
from daco_core.untrusted_text import printable
from daco_index.embedding.embeddings import Embeddings, embed_references
from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.options import EmbeddingOptions, LocalRequest
from daco_index.embedding.precision import ReferenceSample, check_precision, choose_precision
from daco_index.embedding.precision_record import PrecisionRequest, QueryPrecision
from daco_index.generations.contents import last_store, sweep_servers, write_contents, write_manifest
from daco_index.generations.folders import CURRENT_FILE, KEPT, Writer
from daco_index.generations.manifest import Manifest
from daco_index.generations.samples import read_samples
from daco_index.generations.specification import GenerationSpec, Target
from daco_index.references.changes import References, SourceOptions, references_to_build
from daco_index.references.find import Split
from daco_index.references.object_stores import as_source
from daco_index.references.panoramas import uncut_panoramas
from daco_index.search.arrangement import arrange_search
from daco_index.search.bundle import QUANTISED_FOLDER, Bundle
from daco_index.search.index_choice import SearchOptions
from daco_index.search.stores.address import FAISS, MilvusAddress, check_address
from daco_index.search.stores.connection import Connection
from daco_index.search.stores.faiss import forced_factory
from daco_index.search.stores.milvus import pointers

Prove = Callable[[Path], QueryPrecision]
"""Chooses the precision of queries, and writes what that needs into the given folder, which is created if missing."""


@dataclass(frozen=True)
class BuildOptions(EmbeddingOptions):
    """How to build an index; see also `EmbeddingOptions`.

    Args:
        precision: for queries; it is used if a test shows that it finds as much as fp32.
        local: which local descriptors to keep for re-ranking, if the encoder computes any.
        data_root, split: of the source, as `find_references` takes them.
        keep: number of generations to keep, including the new one.
        search: how the descriptors are to be searched.
        source: how photographs are read from the source.
        image_size: pixels that photographs are resized to, for an encoder of `timm:`, `torchhub:` or a short name; None
            for the encoder's usual size.
        store: where the vectors are stored: `faiss`, a file of the index, or `milvus://host:19530/name`, a server; None
            for the store of the existing index, `faiss` for a new one.
        samples: folder of photographs that the server's page offers to try; None for those of the existing index.
    """

    precision: PrecisionRequest = "auto"
    local: LocalRequest = "all"
    data_root: Path = Path("data")
    split: Split = "all"
    keep: int = KEPT
    search: SearchOptions = field(default_factory=SearchOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    store: str | None = None
    samples: Path | None = None
    image_size: int | None = None


@dataclass(frozen=True)
class BuildReport:
    """The result of a build, an addition or an update.

    Args:
        manifest: of the live generation.
        published: false if there was nothing to change, so that no generation was written.
        found: photographs in the source.
        unreadable: files that could not be read, each with its error.
        kept: those unreadable files whose entries in the previous generation are kept.
        embedded: number of photographs that the encoder embedded; the descriptors of the others were known.
        added: number of photographs with a new id, including those whose file changed its content.
        removed: ids of the previous generation that are not in this one.
        seconds: from the start of the scan to the published index.
        images_per_second: of the embedded photographs, while the source was read.
        extraction: the result of extracting frames, if the source is a recording; None for any other source.
        uncut: photographs that have the proportions of panoramas and were embedded uncut.
        other_files: number of files of the sources that cannot be read as photographs, by kind (`HEIC`, `MOV`).
        notes: sentences about tables of positions that do not fit, and about doubtful positions.
    """

    manifest: Manifest
    published: bool
    found: int
    unreadable: dict[str, str]
    kept: list[str]
    embedded: int
    added: int
    removed: int
    seconds: float
    images_per_second: float
    extraction: Extraction | None = None
    uncut: list[str] = field(default_factory=list)
    other_files: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def build_index(source: str, encoder: str, out: Path, options: BuildOptions | None = None) -> BuildReport:
    """Builds the index of a set of photographs and publishes it in the folder `out` as a new generation.

    Until it is published, and if the build fails or is interrupted, the previous index in `out` stays in use.
    Descriptors of the same encoder, in the index in `out` or from an interrupted build of it, are reused; a photograph
    that is in the index keeps its id.

    Args:
        source: the photographs, as `find_references` takes them; or a recording.
        encoder: a folder, `default`, `timm:NAME` or `torchhub:REPO:ENTRY`, as `find_encoder` takes it.

    Raises:
        DacoError: the user can correct the cause; UnreadableImage with `strict`.
    """
    start = time.perf_counter()
    options = options or BuildOptions()
    store = last_store(out) if options.store is None else check_address(options.store)
    _check(store, options)
    samples = None if options.samples is None else read_samples(options.samples)
    loaded = find_encoder(encoder, options.trust, options.image_size)
    search = options.search
    if search.factory is not None:  # an impossible index fails before anything is embedded
        search = replace(search, factory=forced_factory(search.factory, loaded.dimension))
    find = partial(references_to_build, source, options.data_root, options.split, out, options.source, options.progress)
    # a source that does not exist must create no index; in an existing one, the lock keeps the frames that are found
    references = None if (out / CURRENT_FILE).exists() else find()
    with Writer(out, options.keep) as writer:
        references = find() if references is None else references
        live = None
        with suppress(DacoError):  # there is no index yet, or it is damaged and this build will repair it
            live = Bundle.open(out, options.trust)
        report = embed_and_publish(references, Target(writer, live, search, store, samples), loaded, options)
    return replace(report, seconds=round(time.perf_counter() - start, 3))


def embed_and_publish(
    references: References, target: Target, encoder: StoredEncoder, options: EmbeddingOptions
) -> BuildReport:
    """All stages after the photographs are found. Photographs with a known content are not embedded again.

    Raises:
        DacoError: no photograph is left, or the user can correct the cause.
    """
    start = time.perf_counter()
    _print_notes(references.notes)  # before hours of embedding, which may be useless without positions
    embeddings = embed_references(references, target, encoder, options)
    _print_notes(embeddings.notes)
    spec, live = embeddings.spec, target.before
    if references.always or live is None or not spec.equals(live):
        manifest, published = publish(spec, target, _prove(embeddings, options), options.progress), True
    else:
        manifest, published = live.manifest, False
    target.writer.forget_embedded()
    ids = {entry.id for entry in spec.entries}
    looked_at = {str(reference.path) for reference in references.found}
    before = {entry.id for entry in live.catalog.all()} if live else set()
    return BuildReport(
        manifest=manifest,
        published=published,
        found=len(references.found),
        unreadable={str(error.path): str(error) for error in embeddings.unreadable},
        kept=embeddings.kept,
        embedded=embeddings.embedded,
        added=len(ids - before),
        removed=len(before - ids),
        seconds=round(time.perf_counter() - start, 3),
        images_per_second=round(embeddings.embedded / embeddings.seconds, 2),
        extraction=references.extraction,
        uncut=uncut_panoramas([entry for entry in spec.entries if entry.path in looked_at]),
        other_files=dict(references.other_files),
        notes=[*references.notes, *embeddings.notes],
    )


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"Note: {printable(note)}", file=sys.stderr)


def publish(spec: GenerationSpec, target: Target, prove: Prove | None = None, progress: bool = False) -> Manifest:
    """Arranges, writes, verifies and publishes a generation; until then, and on failure, the previous one stays in use.

    Args:
        prove: chooses the precision of queries; None to keep that of the previous generation.

    Raises:
        DacoError: the descriptors are not finite, the requested index cannot be built from them, or the disk is full
            or cannot be written.
    """
    used = pointers(target.writer.index)
    arrangement = arrange_search(spec, target, target.store or last_store(target.writer.index), progress)
    prove = prove or keep_precision(target.before if spec.follows(target.before) else None)
    with target.writer.new_generation() as (number, folder):
        write_contents(number, folder, spec, arrangement, target)
        queries = prove(folder / QUANTISED_FOLDER)
        manifest = write_manifest(number, folder, spec, arrangement, queries)
    sweep_servers(target.writer, used)
    return manifest


def keep_precision(before: Bundle | None) -> Prove:
    """Keeps the precision that queries of another generation have, with the files it needs; fp32 without one."""

    def prove(folder: Path) -> QueryPrecision:
        if before is None:
            return QueryPrecision()
        if before.quantised is not None:
            shutil.copytree(before.quantised, folder, copy_function=_link)
        return before.manifest.queries

    return prove


def _link(file: str, to: str) -> None:
    link_or_copy(Path(file), Path(to))


def _prove(embeddings: Embeddings, options: EmbeddingOptions) -> Prove | None:
    """Tests the requested precision on the photographs that were embedded; None if none was requested."""
    if options.precision is None:
        return None
    spec = embeddings.spec
    ids = np.array([entry.id for entry in spec.entries], dtype=np.int64)
    references = ReferenceSample(
        paths=[as_source(entry.path) for entry in spec.entries],
        places=[entry.place for entry in spec.entries],
        vectors=lambda rows: spec.descriptors.of(ids[rows]),
    )

    def prove(folder: Path) -> QueryPrecision:
        queries = choose_precision(spec.encoder, embeddings.engine, references, folder, options)
        if queries.precision != "int8":
            shutil.rmtree(folder, ignore_errors=True)
        return queries

    return prove


def _check(store: str, options: BuildOptions) -> None:
    """Rejects impossible options, and a server that does not respond, before anything is embedded."""
    check_precision(options.precision, options.device)
    if store == FAISS:
        return
    if options.search not in (SearchOptions(), SearchOptions(gpu="off")):
        raise UsageError(
            f"{store} is searched by the index in its address (?index=HNSW): omit --index, --memory, --recall and"
            " --gpu on."
        )
    Connection(MilvusAddress.parse(store)).reach()  # fails before all is embedded if the server is away
