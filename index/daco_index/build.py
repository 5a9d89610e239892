"""A new index from a set of photographs: find, embed, write, publish; and what a change of it shares with that."""

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from daco_core.errors import DacoError, UsageError
from daco_index.embedding.embed import Embedded, embed_files
from daco_index.embedding.embedding_cache import Known, Photograph
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.precision import check_wish, choose_precision
from daco_index.embedding.precision_record import QueryPrecision, Wish
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import KEPT, Writer
from daco_index.generations.manifest import Manifest, SourceRecord
from daco_index.generations.publish import last_store, write_generation
from daco_index.references.find import Reference, Split, absolute_source, find_references
from daco_index.references.object_stores import as_source
from daco_index.search.bundle import Bundle, highest_next_id
from daco_index.search.catalog import Entry
from daco_index.search.index_choice import Wishes
from daco_index.search.stores.address import FAISS, MilvusAddress, check_address
from daco_index.search.stores.connection import Connection
from daco_index.search.stores.faiss import forced_factory
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.sources import load_encoder


@dataclass(frozen=True)
class BuildReport:
    """What a build, an addition or an update did.

    Args:
        manifest: of the live generation.
        published: false where there was nothing to change, so that no generation was written.
        found: photographs in the source.
        unreadable: files that were skipped, each with why.
        embedded: photographs that went through the encoder; the descriptors of the others were known.
        added: photographs that got a new id, those among them whose file has another content than before.
        removed: ids that the generation before had and this one has not.
        seconds: from the first look at the source to the published index.
        images_per_second: embedded ones, while the source was read.
    """

    manifest: Manifest
    published: bool
    found: int
    unreadable: dict[str, str]
    embedded: int
    added: int
    removed: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Effort:
    """How to embed: photographs at once, on which device, stopping at an unreadable one or not, showing progress.

    `trust` is consent to running the code of an encoder from torch.hub; `precision` is that of queries, None for what
    the generation before has; `on_ray` spreads the work over a Ray cluster.
    """

    batch_size: int = 16
    device: str = "auto"
    strict: bool = False
    progress: bool = True
    trust: bool = False
    precision: Wish | None = None
    on_ray: bool = False


@dataclass(frozen=True)
class Origin:
    """Where the photographs of a generation come from, as its manifest says it."""

    source: str
    change: str
    sources: tuple[SourceRecord, ...]
    left_out: tuple[str, ...] = ()


def build_index(
    source: str,
    encoder: str,
    out: Path,
    data_root: Path = Path("data"),
    split: Split = "all",
    batch_size: int = 16,
    device: str = "auto",
    strict: bool = False,
    trust: bool = False,
    progress: bool = True,
    keep: int = KEPT,
    wishes: Wishes | None = None,
    store: str | None = None,
    precision: Wish = "auto",
    on_ray: bool = False,
) -> BuildReport:
    """Builds the index of a set of photographs and publishes it in the folder `out` as a new generation.

    Until it is published, and if the build fails or is stopped, what `out` held before goes on answering. Descriptors
    that the same encoder made before, for the index in `out` or in a build of it that was stopped, are not made again;
    a photograph that the index held keeps its id.

    Args:
        source, data_root, split: the photographs, as `find_references` takes them.
        encoder, trust: a folder, `timm:NAME` or `torchhub:REPO:ENTRY`, as `load_encoder` takes it.
        strict: an unreadable photograph stops the build.
        keep: generations that stay, with the new one.
        wishes: of how the descriptors are searched; None for what their number calls for.
        store: where the vectors go: `faiss`, into a file beside the catalogue; or `milvus://host:19530/name`, to a
            server; None for where the index has them already, `faiss` for a new one.
        precision: that queries are to be described in, if it is proved to find as much; references always are in fp32.
        on_ray: embed on the Ray cluster that RAY_ADDRESS names, or on all of this machine through Ray.

    Raises:
        DacoError: anything that the user can put right; UnreadableImage with `strict`.
    """
    start = time.perf_counter()
    wishes = wishes or Wishes()
    store = last_store(out) if store is None else check_address(store)
    if store != FAISS:
        if wishes not in (Wishes(), Wishes(gpu="off")):
            raise UsageError(
                f"{store} searches by the index that its address names (?index=HNSW): leave --index, --memory,"
                " --recall and --gpu on out."
            )
        Connection(MilvusAddress.parse(store)).reach()  # one that is away is better known before all is embedded
    check_wish(precision, device)
    references = find_references(source, data_root, split)
    loaded = load_encoder(encoder, trust)
    if wishes.factory is not None:  # what cannot be made is refused before anything is embedded
        wishes = replace(wishes, factory=forced_factory(wishes.factory, loaded.dimension))
    origin = Origin(source, "build", (record_source(source, data_root, split),))
    with Writer(out, keep) as writer:
        live = None
        with suppress(DacoError):  # none yet, or a damaged one that this build is to mend
            live = Bundle.open(out, trust)
        effort = Effort(batch_size, device, strict, progress, trust, precision, on_ray)
        return publish_references(
            writer, live, loaded, references, [], origin, effort, start, even_if_equal=True, wishes=wishes, store=store
        )


def record_source(source: str, data_root: Path, split: Split) -> SourceRecord:
    """A source as the manifest keeps it."""
    name, root = absolute_source(source, data_root)
    return SourceRecord(name, str(root), split)


def publish_references(
    writer: Writer,
    live: Bundle | None,
    encoder: Encoder,
    references: Sequence[Reference],
    rest: Sequence[Entry],
    origin: Origin,
    effort: Effort,
    start: float,
    even_if_equal: bool = False,
    wishes: Wishes | None = None,
    store: str | None = None,
) -> BuildReport:
    """Publishes the generation of the readable references and of `rest`; embeds only contents that are not known.

    Args:
        live: the generation before, of any encoder; with `rest`, of this one.
        rest: entries of `live` that stay as they are.
        start: `time.perf_counter()` when the work began.
        even_if_equal: publish also what equals `live`.
        wishes: of how the descriptors are searched; None for those of `live`.
        store: `faiss` or the address of a Milvus server; None for where `live` is.

    Raises:
        DacoError: no photograph is left, or anything else that the user can put right.
    """
    engine = create_engine(encoder, effort.device, goal="throughput")
    before = live.catalog.all() if live else []
    known = Known(writer.embedded, engine.fingerprint, engine.dimension)
    same_encoder = live is not None and live.manifest.encoder_fingerprint == engine.fingerprint
    if live and same_encoder:
        photographs = [Photograph(entry.width, entry.height, entry.sha256) for entry in before]
        known.hold(photographs, [entry.id for entry in before])

    embedding_start = time.perf_counter()
    paths = [reference.path for reference in references]
    if effort.on_ray:
        from daco_index.embedding.ray_cluster import embed_with_ray

        embedded = embed_with_ray(
            encoder, paths, known, effort.batch_size, effort.device, effort.strict, effort.progress, effort.trust
        )
    else:
        embedded = embed_files(
            engine, paths, effort.batch_size, strict=effort.strict, progress=effort.progress, known=known
        )
    embedding_seconds = time.perf_counter() - embedding_start
    if not embedded.kept and not rest:
        raise DacoError(
            f"No photograph in {origin.source} can be read ({len(references)} tried). First: {embedded.unreadable[0]}"
        )
    next_id = highest_next_id(writer.index)
    found = _entries(references, embedded, before, next_id)
    entries = sorted([*rest, *found], key=lambda entry: entry.id)
    published = even_if_equal or live is None or not _says(live.manifest, origin, before, entries)
    if published:
        descriptors = _descriptors(found, embedded, rest, live)
        with TemporaryDirectory() as quantised:
            manifest = write_generation(
                writer,
                descriptors,
                entries,
                encoder,
                origin.source,
                origin.change,
                origin.sources,
                origin.left_out,
                next_id,
                wishes,
                live if same_encoder else None,
                effort.progress,
                store,
                _choose_precision(effort, encoder, engine, entries, descriptors, Path(quantised)),
                Path(quantised),
            )
    else:
        assert live is not None
        manifest = live.manifest
    writer.forget_embedded()
    ids_before, ids = {entry.id for entry in before}, {entry.id for entry in entries}
    return BuildReport(
        manifest=manifest,
        published=published,
        found=len(references),
        unreadable={str(error.path): str(error) for error in embedded.unreadable},
        embedded=embedded.embedded,
        added=len(ids - ids_before),
        removed=len(ids_before - ids),
        seconds=round(time.perf_counter() - start, 3),
        images_per_second=round(embedded.embedded / embedding_seconds, 2),
    )


def _descriptors(found: Sequence[Entry], embedded: Embedded, rest: Sequence[Entry], live: Bundle | None) -> Descriptors:
    """Those that were made now, and those that the live generation holds, of copies too."""
    descriptors = Descriptors(embedded.vectors.shape[1])
    ids = np.array([entry.id for entry in found], dtype=np.int64)
    made = embedded.held < 0
    descriptors.make(ids[made], embedded.vectors)
    if live:
        descriptors.hold(ids[~made], live.store, embedded.held[~made])
        descriptors.hold([entry.id for entry in rest], live.store)
    return descriptors


def _choose_precision(
    effort: Effort,
    encoder: Encoder,
    engine: Engine,
    entries: Sequence[Entry],
    descriptors: Descriptors,
    quantised: Path,
) -> QueryPrecision | None:
    """That of queries, if one was asked for; writes what it needs into the folder `quantised`."""
    if effort.precision is None:
        return None
    ids = np.array([entry.id for entry in entries], dtype=np.int64)
    return choose_precision(
        effort.precision,
        encoder,
        engine,
        effort.device,
        [as_source(entry.path) for entry in entries],
        [entry.place for entry in entries],
        lambda rows: descriptors.of(ids[rows]),
        quantised,
        effort.progress,
    )


def _says(manifest: Manifest, origin: Origin, before: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    """Whether a generation is already what is to be written."""
    same_origin = (manifest.sources, manifest.left_out) == (origin.sources, origin.left_out)
    return same_origin and list(entries) == list(before)


def _entries(references: Sequence[Reference], embedded: Embedded, before: Sequence[Entry], next_id: int) -> list[Entry]:
    """The entries of the readable references: a file of the content that it had keeps its id, others get new ones."""
    ids = {(entry.path, entry.sha256): entry.id for entry in before}
    fresh = itertools.count(next_id)
    entries = []
    for row, photograph in zip(embedded.kept, embedded.photographs, strict=True):
        reference = references[row]
        if reference.latitude is None and (seen := embedded.exif.get(row)) is not None:
            reference = replace(reference, latitude=seen.latitude, longitude=seen.longitude, heading=seen.heading)
        known_id = ids.get((str(reference.path), photograph.sha256))
        entries.append(
            Entry(
                id=next(fresh) if known_id is None else known_id,
                path=str(reference.path),
                place=reference.place,
                latitude=reference.latitude,
                longitude=reference.longitude,
                heading=reference.heading,
                width=photograph.width,
                height=photograph.height,
                sha256=photograph.sha256,
            )
        )
    return entries
