"""An index as one thing: vectors, catalogue and encoder of one generation, written and opened together."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.arrange import arrange
from index.catalog import Catalog, Entry
from index.descriptors import Descriptors
from index.generations import (
    CURRENT_FILE,
    MANIFEST_HASH_FILE,
    Current,
    Writer,
    finished_generations,
    generation_folder,
    read_current,
    read_kept,
)
from index.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    REMEDY,
    Manifest,
    SourceRecord,
    bounds_of,
    parse_manifest,
    record_files,
)
from index.precision_record import QueryPrecision
from index.sizing import Gpu, Search, Wishes
from index.store import StoreAway, VectorStore
from index.stores.address import FAISS, MilvusAddress
from index.stores.connection import Connection
from index.stores.faiss import FaissStore, candidates_file
from index.stores.gpu import wanted
from index.stores.milvus import POINTER_FILE, MilvusStore, Pointer, pointers, sweep
from training.encoder import Encoder
from training.errors import DacoError

VECTORS_FILE = "vectors.faiss"
CATALOG_FILE = "catalog.sqlite"
ENCODER_FOLDER = "encoder"
QUANTISED_FOLDER = "int8"
AT_ONCE = 65536  # vectors that are held in memory beside the stores


class Match(NamedTuple):
    """One answer to a query: rank from 1, similarity (cosine, 1 for equal descriptors), and the photograph."""

    rank: int
    similarity: float
    entry: Entry


@dataclass(frozen=True)
class Bundle:
    """A verified generation of an index, in memory; any number of threads may search it."""

    manifest: Manifest
    encoder: Encoder
    store: VectorStore
    catalog: Catalog
    quantised: Path | None = None  # the folder of the encoder's int8 form, where it has one

    @property
    def generation(self) -> int:
        return self.manifest.generation

    @classmethod
    def open(cls, index: Path, trust: bool = False, gpu: Gpu = "off") -> "Bundle":
        """The live generation of the index in a folder, once every byte of it has been verified.

        Args:
            trust: consent to running the code of others, without which an encoder from torch.hub is refused.
            gpu: whether it is to be searched on a GPU; with `auto`, where FAISS sees one and has such an index there.

        Raises:
            DacoError: there is no index, a file of it is missing or damaged (the sentence names it), its encoder is
                not the one that made its descriptors or wants consent, or it cannot be on a GPU with `on`.
        """
        on_gpu = wanted(gpu)
        current = read_current(index)
        while True:
            try:
                bundle = cls._open_generation(index, current, trust)
                if on_gpu and isinstance(bundle.store, FaissStore) and not bundle.store.move_to_gpu() and gpu == "on":
                    raise DacoError(
                        f"{index} is searched by {bundle.manifest.index}, which FAISS cannot hold on this GPU: build it"
                        " with --gpu on, or leave --gpu out."
                    )
                return bundle
            except DacoError:
                # a writer may have published twice since, and cleared this generation away
                if (newer := read_current(index)) == current:
                    raise
                current = newer

    @classmethod
    def open_kept(cls, index: Path, generation: int, trust: bool = False) -> "Bundle":
        """A generation that is kept, live or not, verified as `open` does. Raises as `open`."""
        return cls._open_generation(index, read_kept(index, generation), trust)

    @classmethod
    def _open_generation(cls, index: Path, current: Current, trust: bool) -> "Bundle":
        folder = generation_folder(index, current.generation)
        manifest = _read_manifest(index, current)
        manifest.verify_files(folder)
        encoder = Encoder.load(folder / ENCODER_FOLDER, trust)
        if encoder.fingerprint != manifest.encoder_fingerprint:
            raise DacoError(f"{folder / ENCODER_FOLDER} is not the encoder that made this index. {REMEDY}")
        store = load_store(folder, manifest)
        catalog = Catalog(folder / CATALOG_FILE)
        if not (store.count == catalog.count == manifest.count and store.dimension == encoder.dimension):
            raise DacoError(f"The vectors, the catalogue and the encoder in {folder} are not of one index. {REMEDY}")
        quantised = folder / QUANTISED_FOLDER
        return cls(manifest, encoder, store, catalog, quantised if quantised.is_dir() else None)

    def search(self, vectors: NDArray[np.float32], k: int, only: Sequence[int] | None = None) -> list[list[Match]]:
        """The photographs most similar to each descriptor, the best first.

        Args:
            vectors: (q, dimension), length 1, of this index's encoder.
            k: how many for each; of a smaller index, all.
            only: ids of this index to look among, each compared exactly; None for all.

        Returns:
            q lists of min(k, count) matches.

        Raises:
            DacoError: the descriptors are of another length than the index's.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.store.dimension:
            raise DacoError(
                f"Descriptors of shape {vectors.shape} cannot be looked up in an index of {self.store.dimension}"
                " numbers each: embed them with the index's own encoder."
            )
        if only is None:
            similarities, ids = self.store.search(vectors, min(k, self.store.count))
        else:
            similarities, ids = self._search_among(vectors, k, np.array(only, dtype=np.int64))
        entries = self.catalog.named(set(ids.ravel().tolist()))
        cosines = np.minimum(similarities, 1.0)  # rounding gives 1.0000001 at times
        return [
            [
                Match(rank, cosine, entries[number])
                for rank, (cosine, number) in enumerate(zip(*row, strict=True), start=1)
                if number >= 0
            ]
            for row in zip(cosines.tolist(), ids.tolist(), strict=True)
        ]

    def _search_among(
        self, vectors: NDArray[np.float32], k: int, only: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `VectorStore.search` of a store that holds no others."""
        best, ids = np.empty((len(vectors), 0), np.float32), np.empty((len(vectors), 0), np.int64)
        for start in range(0, len(only), AT_ONCE):
            part = only[start : start + AT_ONCE]
            best = np.hstack([best, vectors @ self.store.vectors(part).T])
            ids = np.hstack([ids, np.broadcast_to(part, (len(vectors), len(part)))])
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, ids = np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)
        return best, ids


def read_manifest(index: Path) -> Manifest:
    """The manifest of the live generation; the other files are not looked at.

    Raises:
        DacoError: there is no index, or its `CURRENT` or manifest is damaged.
    """
    return _read_manifest(index, read_current(index))


def read_kept_manifest(index: Path, generation: int) -> Manifest:
    """The manifest of a generation that is kept, live or not. Raises DacoError where it is damaged."""
    return _read_manifest(index, read_kept(index, generation))


def highest_next_id(index: Path) -> int:
    """An id above every one that the readable generations of an index know of; 0 where there are none."""
    highest = 0
    for generation in finished_generations(index):
        with suppress(DacoError):
            highest = max(highest, read_kept_manifest(index, generation).next_id)
    return highest


def write_generation(
    writer: Writer,
    descriptors: Descriptors,
    entries: Sequence[Entry],
    encoder: Encoder,
    source: str,
    change: str = "build",
    sources: Sequence[SourceRecord] = (),
    left_out: Sequence[str] = (),
    next_id: int = 0,
    wishes: Wishes | None = None,
    before: Bundle | None = None,
    progress: bool = False,
    store: str | None = None,
    queries: QueryPrecision | None = None,
    quantised: Path | None = None,
) -> Manifest:
    """Writes a new generation and publishes it last; until then, and if anything fails, the previous one answers.

    Args:
        descriptors: of length 1, for the ids of the entries.
        entries: by rising id.
        source: what the photographs were named by.
        change, sources, left_out: as the manifest has them.
        next_id: no id below it is given again; those of the entries need not be counted in.
        wishes: of how the descriptors are searched; None for those that the generation before was made by.
        before: the generation before, of the same encoder: its trained index is kept if it will do, and what it has on
            the server that both share is not written again.
        progress: show on stderr how far the indexing is.
        store: `faiss` or the address of a Milvus server; None for where the generations before have their vectors.
        queries: the precision of queries; None for that of the generation before.
        quantised: the folder of the encoder's int8 form, for that precision.

    Raises:
        DacoError: the encoder gave something else than finite numbers; the index that is wished for cannot be made of
            them; or the disk is full or cannot be written.
    """
    address = store or last_store(writer.index)
    used = pointers(writer.index)
    ids = np.array([entry.id for entry in entries], dtype=np.int64)
    wishes = wishes or (before.manifest.search.wishes if before else Wishes())
    in_memory = FaissStore.create(descriptors.dimension)
    factory, search = address, Search("Milvus searches by the index that its address names.", wishes)
    if address == FAISS:
        _add(in_memory, descriptors, ids)
        like = before.store if before and isinstance(before.store, FaissStore) else None
        factory, search = arrange(in_memory, wishes, like, before.manifest if before else None, progress)
    if queries is None:
        queries, quantised = (before.manifest.queries, before.quantised) if before else (QueryPrecision(), None)
    with writer.new_generation() as (number, folder):
        if address == FAISS:
            in_memory.save(folder / VECTORS_FILE)
        else:
            _write_to_milvus(writer, MilvusAddress.parse(address), number, folder, descriptors, ids, encoder, before)
        Catalog.create(folder / CATALOG_FILE, entries)
        encoder.save(folder / ENCODER_FOLDER)
        if quantised and queries.precision == "int8":
            shutil.copytree(quantised, folder / QUANTISED_FOLDER)
        manifest = Manifest(
            generation=number,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            count=len(entries),
            with_location=sum(entry.latitude is not None for entry in entries),
            dimension=descriptors.dimension,
            index=factory,
            source=source,
            backbone=encoder.name,
            encoder_fingerprint=encoder.fingerprint,
            bounds=bounds_of(entries),
            files=record_files(folder),
            change=change,
            sources=tuple(sources),
            left_out=tuple(left_out),
            next_id=max([next_id, *(entry.id + 1 for entry in entries)]),
            search=search,
            queries=queries,
        )
        (folder / MANIFEST_FILE).write_text(manifest.as_json(), encoding="utf-8")
    _sweep(writer, used)
    return manifest


def last_store(index: Path) -> str:
    """Where the newest generation of an index has its vectors; `faiss` where there is none. Raises DacoError."""
    numbers = finished_generations(index)
    pointer = generation_folder(index, numbers[-1]) / POINTER_FILE if numbers else None
    return Pointer.read(pointer).address if pointer and pointer.exists() else FAISS


def _write_to_milvus(
    writer: Writer,
    address: MilvusAddress,
    number: int,
    folder: Path,
    descriptors: Descriptors,
    ids: NDArray[np.int64],
    encoder: Encoder,
    before: Bundle | None,
) -> None:
    store = MilvusStore.begin(address, writer.index, writer.owner, encoder.fingerprint, descriptors.dimension, number)
    held = store.ids()
    # an id stands for one content for ever, so what the live generation has under it is what is to be written
    same = before is not None and isinstance(before.store, MilvusStore) and before.store.collection == store.collection
    staying = np.intersect1d(held, ids) if same else np.empty(0, dtype=np.int64)
    store.remove(np.setdiff1d(held, staying))
    _add(store, descriptors, np.setdiff1d(ids, staying))
    store.save(folder / POINTER_FILE)


def _sweep(writer: Writer, used: Sequence[Pointer]) -> None:
    """Clears the servers of what only generations that are gone now had there."""
    for address in {pointer.address for pointer in used}:
        with suppress(StoreAway):  # the next writer sweeps again
            sweep(Connection(MilvusAddress.parse(address)), writer.index, writer.owner)


def _add(store: VectorStore, descriptors: Descriptors, ids: NDArray[np.int64]) -> None:
    for start in range(0, len(ids), AT_ONCE):
        vectors = descriptors.of(ids[start : start + AT_ONCE])
        if not np.isfinite(vectors).all():
            raise DacoError(
                "The encoder gives descriptors that are no numbers, so its weights are broken: train it again."
            )
        store.add(vectors, ids[start : start + AT_ONCE])


def republish(writer: Writer, folder: Path, manifest: Manifest, change: str, next_id: int) -> Manifest:
    """Publishes the files of a finished generation under a new number; they are not copied where links will do.

    Raises:
        DacoError: the disk is full or cannot be written.
    """
    used = pointers(writer.index)
    with writer.new_generation() as (number, fresh):
        for name in manifest.files:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                (fresh / name).hardlink_to(folder / name)
            except OSError:  # a file system without hard links
                shutil.copyfile(folder / name, fresh / name)
        again = replace(
            manifest,
            generation=number,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            change=change,
            next_id=next_id,
            format_version=FORMAT_VERSION,
        )
        (fresh / MANIFEST_FILE).write_text(again.as_json(), encoding="utf-8")
    _sweep(writer, used)
    return again


def load_store(folder: Path, manifest: Manifest) -> VectorStore:
    """The vectors of a generation, set to search as its manifest says. Raises DacoError where they cannot be had."""
    if POINTER_FILE in manifest.files:
        return MilvusStore.load(folder / POINTER_FILE)
    file = folder / VECTORS_FILE
    store = FaissStore.load(file, candidates_file(file).name in manifest.files)
    store.tune(manifest.search.parameters)
    return store


def _read_manifest(index: Path, current: Current) -> Manifest:
    file = generation_folder(index, current.generation) / MANIFEST_FILE
    live = False
    with suppress(DacoError):
        live = read_current(index) == current
    witness = index / CURRENT_FILE if live else file.with_name(MANIFEST_HASH_FILE)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise DacoError(
            f"The index is damaged: {file}, which {witness} names, cannot be read ({error.strerror}). {REMEDY}"
        ) from error
    if hashlib.sha256(text).hexdigest() != current.manifest_sha256:
        raise DacoError(f"The index is damaged: {file} has not the hash that {witness} says. {REMEDY}")
    return parse_manifest(text, file)
