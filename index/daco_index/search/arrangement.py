"""The third stage of a build: chooses the search index of the vectors, trains or extends it, and tunes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import DamagedEncoder
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.manifest import Manifest
from daco_index.generations.specification import GenerationSpec, Target
from daco_index.search.index_choice import EXACT, Search, SearchOptions, choose, still_fits
from daco_index.search.store import VectorStore
from daco_index.search.stores.address import FAISS
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.gpu import wanted
from daco_index.search.tuning import curve, measured, own_queries, pick

ADDED_BYTES = 16 * 2**20  # of vectors in memory at a time, in addition to the store


@dataclass(frozen=True)
class Arrangement:
    """How the vectors of a generation are searched.

    Args:
        address: `faiss`, or the address of the Milvus server that the vectors go to.
        store: the vectors, ready to be saved; None if they go to a server.
        index: FAISS's factory string, or the address of the server.
        search: the manifest's entry on the search.
    """

    address: str
    store: FaissStore | None
    index: str
    search: Search


def arrange_search(spec: GenerationSpec, target: Target, address: str, progress: bool = True) -> Arrangement:
    """Puts the vectors into a store that searches as requested.

    Raises:
        DacoError: the encoder's descriptors are not finite, or the requested index cannot be built from them.
    """
    before = target.before if spec.follows(target.before) else None
    options = target.search or (before.manifest.search.requested if before else SearchOptions())
    if address != FAISS:
        return Arrangement(address, None, address, Search("Milvus searches by the index in its address.", options))
    store = FaissStore.create(spec.descriptors.dimension, len(spec.entries))
    add_vectors(store, spec.descriptors, np.array([entry.id for entry in spec.entries], dtype=np.int64))
    like = before.store if before and isinstance(before.store, FaissStore) else None
    index, search = arrange(store, options, like, before.manifest if before else None, progress)
    return Arrangement(address, store, index, search)


def add_vectors(store: VectorStore, descriptors: Descriptors, ids: NDArray[np.int64]) -> None:
    """Adds the descriptors of some ids to a store, in blocks.

    Raises:
        DacoError: a descriptor is not finite, or the store rejects them.
    """
    some = max(1, ADDED_BYTES // (4 * descriptors.dimension))
    for start in range(0, len(ids), some):
        vectors = descriptors.of(ids[start : start + some])
        if not np.isfinite(vectors).all():
            raise DamagedEncoder(
                "The encoder returns descriptors that are not finite, so its weights are unusable: train it again."
            )
        store.add(vectors, ids[start : start + some])


def arrange(
    store: FaissStore,
    options: SearchOptions,
    like: FaissStore | None = None,
    before: Manifest | None = None,
    progress: bool = True,
) -> tuple[str, Search]:
    """Makes a store search as requested.

    A trained index is kept, with its tuned parameters, until the count has doubled or halved. A new one gets the
    fastest parameters that reach the requested recall of the exact ten best, for a sample of its own descriptors.

    Args:
        like, before: the store of the previous generation, if it has the same encoder, and its manifest.

    Returns:
        FAISS's factory string, and the manifest's entry on the search.

    Raises:
        DacoError: the requested index cannot be built from these vectors.
    """
    if like and before and still_fits(before.search, before.index, store.count, store.dimension, options):
        store.arrange(before.index, like, progress)
        store.tune(before.search.parameters)
        return before.index, before.search
    gpu = wanted(options.gpu)
    choice = choose(store.count, store.dimension, options, gpu)
    store.arrange(choice.factory, None, progress, gpu)
    if choice.factory == EXACT:
        return EXACT, Search(choice.reason, options)
    queries = own_queries(store)
    best = pick(list(curve(store, queries, options.recall)), options.recall)
    store.tune(best.parameters)
    return choice.factory, Search(choice.reason, options, store.count, best.parameters, measured(store, best, queries))
