"""Vectors, catalogue and encoder of one generation of an index, opened and searched together."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daco_core.encoder.stored import StoredEncoder, open_encoder
from daco_core.errors import DacoError, DamagedIndex, UsageError, reason_of
from daco_index.generations.folders import (
    CURRENT_FILE,
    MANIFEST_HASH_FILE,
    Current,
    finished_generations,
    generation_folder,
    read_current,
    read_kept,
)
from daco_index.generations.manifest import MANIFEST_FILE, REMEDY, Manifest, parse_manifest
from daco_index.reranking.local_file import LOCAL_FILE, LocalFile
from daco_index.reranking.rerank import VOTE_WEIGHT, LocalQuery
from daco_index.search.catalog import CATALOG_FILE, Catalog, Entry
from daco_index.search.held_file import Stamp, stamp_of
from daco_index.search.index_choice import Gpu, worth_a_gpu
from daco_index.search.store import VectorStore
from daco_index.search.stores.faiss import FaissStore, candidates_file
from daco_index.search.stores.gpu import wanted
from daco_index.search.stores.milvus import POINTER_FILE, MilvusStore

VECTORS_FILE = "vectors.faiss"
ENCODER_FOLDER = "encoder"
QUANTISED_FOLDER = "int8"
SAMPLES_FOLDER = "samples"
AT_ONCE = 65536  # vectors in memory at a time, in addition to the stores


class SearchMatch(NamedTuple):
    """One answer to a query.

    Args:
        rank: from 1.
        similarity: cosine similarity of the two descriptors, 1 for equal ones.
        entry: the photograph.
        votes: the number of matched cells that agree on one displacement; None if they were not compared.
        share: the votes divided by the weight of all matches, 0 to 1; None likewise.
    """

    rank: int
    similarity: float
    entry: Entry
    votes: float | None = None
    share: float | None = None

    @property
    def score(self) -> float:
        """The value that determines the rank: the similarity, increased by the votes if there are any."""
        return self.similarity if self.votes is None else self.similarity + VOTE_WEIGHT * self.votes


@dataclass(frozen=True)
class Bundle:
    """A verified generation of an index, in memory; any number of threads may search it."""

    manifest: Manifest
    encoder: StoredEncoder
    store: VectorStore
    catalog: Catalog
    quantised: Path | None = None  # the folder of the encoder's int8 form, if there is one
    local: LocalFile | None = None  # the local descriptors, if there are any
    samples: tuple[bytes, ...] = ()  # small sample JPEGs; in memory, because the generation may be removed

    @property
    def generation(self) -> int:
        return self.manifest.generation

    @property
    def changed(self) -> bool:
        """Whether a file that stays open was changed, even if no search would read the changed part."""
        files = [self.catalog.file, getattr(self.store, "file", None), self.local.file if self.local else None]
        return any(file.changed for file in files if file is not None)

    def check(self) -> None:
        """Raises StoreAway or DamagedIndex if a search would fail now."""
        self.store.check()
        self.catalog.check()
        if self.local is not None:
            self.local.file.check()

    @classmethod
    def open(cls, index: Path, trust: bool = False, gpu: Gpu = "off") -> "Bundle":
        """Opens the live generation of the index in a folder, after checking every file against its checksum.

        Args:
            trust: consent to execute third-party code, which encoders from torch.hub require.
            gpu: whether to search on a GPU; with `auto`, if FAISS sees a GPU that supports this index, and the index
                is large enough.

        Raises:
            DacoError: there is no index; a file is missing or damaged (the message names it); its encoder did not
                compute its descriptors or needs consent; or it cannot be on a GPU, with `on`.
        """
        on_gpu = wanted(gpu)
        # resolved once, so that all files belong to one index even if a symbolic link is replaced in the meantime
        index = index.resolve()
        current = read_current(index)
        while True:
            try:
                bundle = cls._open_generation(index, current, trust)
                if on_gpu and isinstance(bundle.store, FaissStore):
                    bundle._move_to_gpu(index, bundle.store, insist=gpu == "on")
                return bundle
            except DacoError:
                # a writer may have published twice since, and removed this generation
                if (newer := read_current(index)) == current:
                    raise
                current = newer

    def _move_to_gpu(self, index: Path, store: FaissStore, insist: bool) -> None:
        if not insist and not worth_a_gpu(store.count, store.dimension):
            return
        if not store.move_to_gpu() and insist:
            raise UsageError(
                f"{index} uses {self.manifest.index}, which FAISS does not support on this GPU: build it with"
                " --gpu on, or omit --gpu."
            )

    @classmethod
    def open_kept(cls, index: Path, generation: int, trust: bool = False) -> "Bundle":
        """Opens a generation, live or not, and verifies it as `open` does. Raises the same errors."""
        return cls._open_generation(index, read_kept(index, generation), trust)

    @classmethod
    def _open_generation(cls, index: Path, current: Current, trust: bool) -> "Bundle":
        folder = generation_folder(index, current.generation)
        manifest = _read_manifest(index, current)
        stamps = _stamps(folder, manifest)
        manifest.verify_files(folder)
        encoder = open_encoder(folder / ENCODER_FOLDER, trust)
        if encoder.fingerprint != manifest.encoder_fingerprint:
            raise DamagedIndex(f"{folder / ENCODER_FOLDER} is not the encoder of this index. {REMEDY}")
        store = load_store(folder, manifest)
        catalog = Catalog(folder / CATALOG_FILE)
        local = LocalFile(folder / LOCAL_FILE) if LOCAL_FILE in manifest.files else None
        counts = {store.count, catalog.count, manifest.count, *([local.count] if local else [])}
        if len(counts) > 1 or store.dimension != encoder.dimension:
            raise DamagedIndex(f"Vectors, catalogue and encoder in {folder} do not belong together. {REMEDY}")
        if _stamps(folder, manifest) != stamps:
            raise DamagedIndex(f"Files in {folder} were changed while they were being read. {REMEDY}")
        quantised = folder / QUANTISED_FOLDER
        samples = tuple((folder / name).read_bytes() for name in sorted(manifest.files) if _is_sample(name))
        return cls(manifest, encoder, store, catalog, quantised if quantised.is_dir() else None, local, samples)

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        only: Sequence[int] | None = None,
        local: NDArray[np.float32] | None = None,
        rerank: int = 0,
    ) -> list[list[SearchMatch]]:
        """Finds the photographs most similar to each descriptor, best first.

        Args:
            vectors: (q, dimension), length 1, of this index's encoder.
            k: number of matches for each; if the index is smaller, all of it.
            only: ids to search among, all of which are compared exactly; None for all.
            local: (q, cells, width), the local descriptors of the same queries; None if there are none.
            rerank: number of candidates that are sorted by their score; 0 for none. Ignored if the index or the
                queries have no local descriptors. The matches after them are sorted by similarity.

        Returns:
            q lists of min(k, count) matches.

        Raises:
            DacoError: the descriptors have another length than the index's, or a match is not in the catalogue.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.store.dimension:
            raise UsageError(
                f"Descriptors of shape {vectors.shape} do not fit an index of descriptors with {self.store.dimension}"
                " numbers: embed them with the index's own encoder."
            )
        reranked = rerank if self.local is not None and local is not None else 0
        wanted = max(k, reranked)
        if only is None:
            similarities, ids = self.store.search(vectors, min(wanted, self.store.count))
        else:
            similarities, ids = self._search_among(vectors, wanted, np.array(only, dtype=np.int64))
        cosines = np.minimum(similarities, 1.0)  # rounding may give 1.0000001
        found = ids >= 0  # missing matches are at the end of a row
        entries = self.catalog.get(ids[found].tolist())
        if len(entries) < found.sum():  # other programs may write to a Milvus collection
            raise DamagedIndex(f"The store found photographs that are not in the catalogue. {REMEDY}")
        rest = iter(entries)
        ranked = [
            list(map(SearchMatch, range(1, some + 1), row, islice(rest, some)))
            for row, some in zip(cosines.tolist(), found.sum(axis=1).tolist(), strict=True)
        ]
        if not reranked or local is None:
            return ranked
        return [
            self.rerank(matches, LocalQuery.of(cells), reranked)[:k]
            for matches, cells in zip(ranked, local, strict=True)
        ]

    def rerank(self, matches: Sequence[SearchMatch], query: LocalQuery, count: int) -> list[SearchMatch]:
        """The matches of one query, the first `count` sorted by score, with new ranks.

        Unchanged if the index has no local descriptors.
        """
        if self.local is None or not count:
            return list(matches)
        first = matches[:count]
        found = query.votes(self.local, np.array([match.entry.id for match in first], dtype=np.int64))
        scored = [
            SearchMatch(match.rank, match.similarity, match.entry, votes, share)
            for match, votes, share in zip(first, found.votes.tolist(), found.shares.tolist(), strict=True)
        ]
        scored.sort(key=lambda match: -match.score)
        return [
            SearchMatch(rank, match.similarity, match.entry, match.votes, match.share)
            for rank, match in enumerate([*scored, *matches[count:]], start=1)
        ]

    def _search_among(
        self, vectors: NDArray[np.float32], k: int, only: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The result of `VectorStore.search` if the store contained only these ids."""
        best, ids = np.empty((len(vectors), 0), np.float32), np.empty((len(vectors), 0), np.int64)
        for start in range(0, len(only), AT_ONCE):
            part = only[start : start + AT_ONCE]
            best = np.hstack([best, vectors @ self.store.vectors(part).T])
            ids = np.hstack([ids, np.broadcast_to(part, (len(vectors), len(part)))])
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, ids = np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)
        return best, ids


def read_manifest(index: Path) -> Manifest:
    """The manifest of the live generation; the other files are not read.

    Raises:
        DacoError: there is no index, or its `CURRENT` or manifest is damaged.
    """
    return _read_manifest(index, read_current(index))


def read_kept_manifest(index: Path, generation: int) -> Manifest:
    """The manifest of a generation, live or not. Raises DacoError if it is damaged."""
    return _read_manifest(index, read_kept(index, generation))


def highest_next_id(index: Path) -> int:
    """An id greater than all ids in the readable generations of an index; 0 if there are none."""
    highest = 0
    for generation in finished_generations(index):
        with suppress(DacoError):
            highest = max(highest, read_kept_manifest(index, generation).next_id)
    return highest


def _is_sample(name: str) -> bool:
    return name.startswith(f"{SAMPLES_FOLDER}/")


def load_store(folder: Path, manifest: Manifest) -> VectorStore:
    """The vectors of a generation, set up to search as its manifest says. Raises DacoError if that fails."""
    if POINTER_FILE in manifest.files:
        return MilvusStore.load(folder / POINTER_FILE)
    file = folder / VECTORS_FILE
    store = FaissStore.load(file, candidates_file(file).name in manifest.files)
    store.tune(manifest.search.parameters)
    return store


def _stamps(folder: Path, manifest: Manifest) -> list[Stamp]:
    try:
        return [stamp_of(folder / name) for name in manifest.files]
    except OSError as error:
        raise DamagedIndex(
            f"The index is damaged: {error.filename} cannot be read ({reason_of(error)}). {REMEDY}"
        ) from error


def _read_manifest(index: Path, current: Current) -> Manifest:
    file = generation_folder(index, current.generation) / MANIFEST_FILE
    live = False
    with suppress(DacoError):
        live = read_current(index) == current
    witness = index / CURRENT_FILE if live else file.with_name(MANIFEST_HASH_FILE)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise DamagedIndex(
            f"The index is damaged: {file}, which {witness} names, cannot be read ({reason_of(error)}). {REMEDY}"
        ) from error
    if hashlib.sha256(text).hexdigest() != current.manifest_sha256:
        raise DamagedIndex(f"The index is damaged: {file} does not have the hash that {witness} states. {REMEDY}")
    return parse_manifest(text, file)
