"""The index that a store searches its vectors by: chosen, trained or grown from the one before, and set."""

from daco_index.generations.manifest import Manifest
from daco_index.search.index_choice import EXACT, Search, Wishes, choose, still_fits
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.gpu import wanted
from daco_index.search.tuning import curve, measured, own_queries, pick


def arrange(
    store: FaissStore,
    wishes: Wishes,
    like: FaissStore | None = None,
    before: Manifest | None = None,
    progress: bool = True,
) -> tuple[str, Search]:
    """Makes a store search as is wished.

    A trained index is kept, with the parameters that it was tuned to, until the count has doubled or halved. A new one
    is set to the fastest parameters that find as many of the exact ten best of a sample of its own descriptors as is
    wished.

    Args:
        like, before: the store of the generation before, if its descriptors are of the same encoder, and its manifest.

    Returns:
        FAISS's factory string, and what the manifest says of the search.

    Raises:
        DacoError: the index that is wished for cannot be made of these vectors.
    """
    if like and before and still_fits(before.search, before.index, store.count, store.dimension, wishes):
        store.arrange(before.index, like, progress)
        store.tune(before.search.parameters)
        return before.index, before.search
    gpu = wanted(wishes.gpu)
    choice = choose(store.count, store.dimension, wishes, gpu)
    store.arrange(choice.factory, None, progress, gpu)
    if choice.factory == EXACT:
        return EXACT, Search(choice.reason, wishes)
    queries = own_queries(store)
    best = pick(list(curve(store, queries, wishes.recall)), wishes.recall)
    store.tune(best.parameters)
    return choice.factory, Search(choice.reason, wishes, store.count, best.parameters, measured(store, best, queries))
