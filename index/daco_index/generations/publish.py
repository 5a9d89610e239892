"""A new generation of an index: its files written together, and published last."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DamagedEncoder, StoreAway
from daco_index.embedding.precision_record import QueryPrecision
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import Writer, finished_generations, generation_folder
from daco_index.generations.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    Manifest,
    SourceRecord,
    bounds_of,
    record_files,
)
from daco_index.reranking.local_file import LOCAL_FILE, write_local_file
from daco_index.search.arrangement import arrange
from daco_index.search.bundle import AT_ONCE, CATALOG_FILE, ENCODER_FOLDER, QUANTISED_FOLDER, VECTORS_FILE, Bundle
from daco_index.search.catalog import Catalog, Entry
from daco_index.search.index_choice import Search, Wishes
from daco_index.search.store import VectorStore
from daco_index.search.stores.address import FAISS, MilvusAddress
from daco_index.search.stores.connection import Connection
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.milvus import POINTER_FILE, MilvusStore, Pointer, pointers, sweep
from daco_training.encoder.encoder import Encoder

LOCAL_AT_ONCE = 4096  # photographs whose local descriptors are in memory: 16 MB


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
        descriptors: of length 1, for the ids of the entries, with local ones if all have them.
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
        _write_local(folder / LOCAL_FILE, descriptors, ids)
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


def _write_local(file: Path, descriptors: Descriptors, ids: NDArray[np.int64]) -> None:
    """Writes the local descriptors, where all have them.

    Whatever holds the vectors, they lie beside the catalogue: a query reads twenty of them by id, which a mapped file
    gives without another journey to the server, and their file is as immutable as the generation.
    """
    form = descriptors.local_form
    if form is not None:
        starts = range(0, len(ids), LOCAL_AT_ONCE)
        write_local_file(file, form, ids, (descriptors.local_of(ids[at : at + LOCAL_AT_ONCE]) for at in starts))


def _add(store: VectorStore, descriptors: Descriptors, ids: NDArray[np.int64]) -> None:
    for start in range(0, len(ids), AT_ONCE):
        vectors = descriptors.of(ids[start : start + AT_ONCE])
        if not np.isfinite(vectors).all():
            raise DamagedEncoder(
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
