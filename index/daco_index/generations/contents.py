"""The fourth stage of a build: writes the files and the manifest of a generation into its own folder."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import StoreAway
from daco_core.files import link_or_copy
from daco_core.photographs.distances import is_placed
from daco_index.embedding.precision_record import QueryPrecision
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import Writer, finished_generations, generation_folder
from daco_index.generations.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest, bounds_of, record_files
from daco_index.generations.samples import write_samples
from daco_index.generations.specification import GenerationSpec, Target
from daco_index.reranking.local_file import LOCAL_FILE, write_local_file
from daco_index.search.arrangement import Arrangement, add_vectors
from daco_index.search.bundle import ENCODER_FOLDER, VECTORS_FILE
from daco_index.search.catalog import CATALOG_FILE, Catalog
from daco_index.search.stores.address import FAISS, MilvusAddress
from daco_index.search.stores.connection import Connection
from daco_index.search.stores.milvus import POINTER_FILE, MilvusStore, Pointer, pointers, sweep

LOCAL_AT_ONCE = 4096  # photographs whose local descriptors are in memory at once: 16 MB


def write_contents(number: int, folder: Path, spec: GenerationSpec, arrangement: Arrangement, target: Target) -> None:
    """Writes vectors, local descriptors, catalogue, samples and encoder of generation `number` into its folder.

    Raises:
        DacoError: a server does not accept the vectors.
        OSError: the disk is full or cannot be written.
    """
    ids = np.array([entry.id for entry in spec.entries], dtype=np.int64)
    if arrangement.store is not None:
        arrangement.store.save(folder / VECTORS_FILE)
    else:
        store = _fill_milvus(number, spec, ids, MilvusAddress.parse(arrangement.address), target)
        store.save(folder / POINTER_FILE)
    _write_local(folder / LOCAL_FILE, spec.descriptors, ids)
    Catalog.create(folder / CATALOG_FILE, spec.entries)
    write_samples(folder, target.samples, target.before)
    live = None if target.before is None else generation_folder(target.writer.index, target.before.generation)
    spec.encoder.copy_to(folder / ENCODER_FOLDER, None if live is None else live / ENCODER_FOLDER)


def write_manifest(
    number: int, folder: Path, spec: GenerationSpec, arrangement: Arrangement, queries: QueryPrecision
) -> Manifest:
    """Writes the manifest of generation `number`, with the hash of every file in its folder. Raises OSError."""
    manifest = Manifest(
        generation=number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        count=len(spec.entries),
        with_location=sum(map(is_placed, spec.entries)),
        dimension=spec.descriptors.dimension,
        index=arrangement.index,
        source=spec.provenance.source,
        backbone=spec.encoder.name,
        encoder_fingerprint=spec.encoder.fingerprint,
        bounds=bounds_of(spec.entries),
        files=record_files(folder),
        change=spec.provenance.change,
        sources=spec.provenance.sources,
        left_out=spec.provenance.left_out,
        next_id=max([spec.next_id, *(entry.id + 1 for entry in spec.entries)]),
        search=arrangement.search,
        queries=queries,
    )
    (folder / MANIFEST_FILE).write_text(manifest.as_json(), encoding="utf-8")
    return manifest


def republish(writer: Writer, folder: Path, manifest: Manifest, change: str, next_id: int) -> Manifest:
    """Publishes the files of a finished generation under a new number; they are linked, or copied if necessary.

    Raises:
        DacoError: the disk is full or cannot be written.
    """
    used = pointers(writer.index)
    with writer.new_generation() as (number, fresh):
        for name in manifest.files:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(folder / name, fresh / name)
        again = replace(
            manifest,
            generation=number,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            change=change,
            next_id=next_id,
            format_version=FORMAT_VERSION,
        )
        (fresh / MANIFEST_FILE).write_text(again.as_json(), encoding="utf-8")
    sweep_servers(writer, used)
    return again


def last_store(index: Path) -> str:
    """The store of the newest generation of an index; `faiss` if there is none. Raises DacoError."""
    numbers = finished_generations(index)
    pointer = generation_folder(index, numbers[-1]) / POINTER_FILE if numbers else None
    return Pointer.read(pointer).address if pointer and pointer.exists() else FAISS


def sweep_servers(writer: Writer, used: Sequence[Pointer]) -> None:
    """Deletes from the servers what only removed generations used."""
    for address in {pointer.address for pointer in used}:
        with suppress(StoreAway):  # the next writer tries again
            sweep(Connection(MilvusAddress.parse(address)), writer.index, writer.owner)


def _fill_milvus(
    number: int, spec: GenerationSpec, ids: NDArray[np.int64], address: MilvusAddress, target: Target
) -> MilvusStore:
    """Writes the vectors of generation `number` into the index's collection on a server."""
    writer, descriptors, before = target.writer, spec.descriptors, target.before
    made_by = spec.encoder.fingerprint
    store = MilvusStore.begin(address, writer.index, writer.owner, made_by, descriptors.dimension, number)
    held = store.ids()
    # an id stands for the same content for ever, so vectors of the live generation need not be written again
    there = before.store if before and spec.follows(before) else None
    same = isinstance(there, MilvusStore) and there.collection == store.collection
    staying = np.intersect1d(held, ids) if same else np.empty(0, dtype=np.int64)
    store.remove(np.setdiff1d(held, staying))
    add_vectors(store, descriptors, np.setdiff1d(ids, staying))
    return store


def _write_local(file: Path, descriptors: Descriptors, ids: NDArray[np.int64]) -> None:
    """Writes the local descriptors if all photographs have them.

    They are stored next to the catalogue whatever the vector store is: a query reads about twenty of them by id, which
    a local file answers without another request to the server, and the file is as immutable as the generation.
    """
    form = descriptors.local_form
    if form is not None:
        starts = range(0, len(ids), LOCAL_AT_ONCE)
        write_local_file(file, form, ids, (descriptors.local_of(ids[at : at + LOCAL_AT_ONCE]) for at in starts))
