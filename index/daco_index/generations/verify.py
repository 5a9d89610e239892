"""Verifies every generation of an index: checksums, counts, and that ids, rows and descriptors agree."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, DamagedIndex, reason_of
from daco_core.photographs.distances import is_placed
from daco_index.generations.folders import MANIFEST_HASH_FILE, finished_generations, generation_folder, read_current
from daco_index.generations.manifest import MANIFEST_FILE, Manifest, sha256_of
from daco_index.reranking.local_file import LOCAL_FILE, LocalFile
from daco_index.search.bundle import AT_ONCE, ENCODER_FOLDER, load_store, read_kept_manifest
from daco_index.search.catalog import CATALOG_FILE, Catalog, Entry

SHOWN = 5  # ids listed in a message


@dataclass(frozen=True)
class Verified:
    """The problems found in one generation; without any, it is intact."""

    generation: int
    live: bool
    count: int | None
    problems: list[str]


def verify_index(index: Path, trust: bool = False) -> list[Verified]:
    """Checks every generation of an index, oldest first. Changes nothing, and takes no lock.

    Raises:
        NotFound: the folder contains no index.
        DamagedIndex: its `CURRENT` is damaged or names a missing generation.
    """
    live = read_current(index).generation
    if live not in finished_generations(index):
        raise DamagedIndex(f"The index is damaged: {generation_folder(index, live)}, the live generation, is missing.")
    checked = [_verify(index, number, number == live, trust) for number in finished_generations(index)]
    # a generation that a writer has removed in the meantime is not damaged
    still_there = set(finished_generations(index))
    return [one for one in checked if one.generation in still_there]


def _verify(index: Path, generation: int, live: bool, trust: bool) -> Verified:
    folder = generation_folder(index, generation)
    try:
        manifest = read_kept_manifest(index, generation)
    except DacoError as error:
        return Verified(generation, live, None, [str(error)])
    expected = {*manifest.files, MANIFEST_FILE, MANIFEST_HASH_FILE}
    things = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    found = {path.relative_to(folder).as_posix() for path in things}
    problems = [f"{folder / name} does not belong to the index." for name in sorted(found - expected)]
    try:
        if manifest.generation != generation:
            raise DamagedIndex(f"{folder / MANIFEST_FILE} is of generation {manifest.generation}.")
        manifest.verify_files(folder)  # before FAISS reads a file: a damaged one could crash the process
        problems += _contradictions(folder, manifest, trust)
        _check_note(folder)
    except (DacoError, OSError, sqlite3.Error, TypeError) as error:
        problems.append(str(error))
    return Verified(generation, live, manifest.count, problems)


def _check_note(folder: Path) -> None:
    """Checks the file with the manifest's hash, used when CURRENT names another generation; format 1 has none."""
    note = folder / MANIFEST_HASH_FILE
    if not note.exists() and not note.is_symlink():
        return
    try:
        noted = note.read_bytes()
    except OSError as error:
        raise DamagedIndex(f"{note} cannot be read ({reason_of(error)}).") from error
    if noted != f"{sha256_of(folder / MANIFEST_FILE)}\n".encode():
        raise DamagedIndex(f"{note} is not the hash of the manifest beside it.")


def _contradictions(folder: Path, manifest: Manifest, trust: bool) -> list[str]:
    """Contradictions between the files of a generation, each of which is intact."""
    encoder = open_encoder(folder / ENCODER_FOLDER, trust)
    store = load_store(folder, manifest)
    catalog = Catalog(folder / CATALOG_FILE)
    entries = catalog.all()
    vector_ids = store.ids()
    ids = np.array([entry.id for entry in entries], dtype=np.int64)
    both = np.intersect1d(ids, vector_ids)
    # in blocks, because they may not fit in memory
    parts = [both[start : start + AT_ONCE] for start in range(0, len(both), AT_ONCE)]
    lengths = np.concatenate([np.zeros(0), *(np.linalg.norm(store.vectors(part), axis=1) for part in parts)])
    local_ids = LocalFile(folder / LOCAL_FILE).ids() if LOCAL_FILE in manifest.files else ids
    located = sum(map(is_placed, entries))
    checks: list[tuple[bool, Callable[[], str]]] = [
        (encoder.fingerprint == manifest.encoder_fingerprint, lambda: "the encoder is not the one in the manifest"),
        (
            store.dimension == encoder.dimension == manifest.dimension,
            lambda: f"descriptors have {store.dimension} numbers, the encoder gives {encoder.dimension}",
        ),
        (
            len(entries) == store.count == manifest.count,
            lambda: f"{len(entries)} rows, {store.count} descriptors, {manifest.count} in the manifest",
        ),
        (located == manifest.with_location, lambda: f"{located} rows have a position, not {manifest.with_location}"),
        (len(vector_ids) == len(np.unique(vector_ids)), lambda: "an id has two descriptors"),
        (
            not len(np.setdiff1d(ids, vector_ids)),
            lambda: f"rows without a descriptor: ids {_some(np.setdiff1d(ids, vector_ids))}",
        ),
        (
            not len(np.setdiff1d(vector_ids, ids)),
            lambda: f"descriptors without a row: ids {_some(np.setdiff1d(vector_ids, ids))}",
        ),
        (
            np.array_equal(local_ids, ids),
            lambda: f"ids of the local descriptors differ from the rows': {_some(np.setxor1d(local_ids, ids))}",
        ),
        (
            bool((np.abs(lengths - 1) < 1e-3).all()),
            lambda: f"descriptors not of length 1: ids {_some(both[~(np.abs(lengths - 1) < 1e-3)])}",
        ),
        (
            all(0 <= entry.id < manifest.next_id for entry in entries),
            lambda: f"an id is not below {manifest.next_id}, the next to be given",
        ),
        (all(map(_is_sound, entries)), lambda: f"rows with impossible values: ids {_unsound(entries)}"),
    ]
    return [f"{folder}: {sentence()}." for holds, sentence in checks if not holds]


def _is_sound(entry: Entry) -> bool:
    local = {entry.x is None, entry.y is None, entry.frame is None}
    positions = (entry.latitude is None) == (entry.longitude is None) and len(local) == 1
    return positions and entry.width > 0 and entry.height > 0 and len(entry.sha256) == 64


def _unsound(entries: list[Entry]) -> str:
    return _some(np.array([entry.id for entry in entries if not _is_sound(entry)], dtype=np.int64))


def _some(ids: np.ndarray) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(str(number) for number in ids[:SHOWN].tolist()) + more
