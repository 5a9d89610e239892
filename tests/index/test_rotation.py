"""The rotation before product quantisation: what it preserves, and its effect on the codes."""

import faiss
import numpy as np
import pytest

from daco_index.search.stores.faiss import FaissStore, inner
from daco_index.search.stores.rotation import deal, set_rotation
from daco_index.search.tuning import recall_of, surely


def uneven(count: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    """Vectors that vary far more along some of their axes than along others, which no coordinate shows."""
    turned = np.linalg.qr(np.random.default_rng(9).normal(size=(dimension, dimension)))[0]
    drawn = np.random.default_rng(seed).normal(size=(count, dimension)) / np.arange(1, dimension + 1) @ turned
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_each_code_gets_as_many_axes_and_about_the_same_product_of_variances():
    variances = 1 / np.arange(1.0, 65.0)
    dealt = deal(variances, 16)
    assert sorted(dealt) == list(range(64))
    products = np.log(variances[dealt]).reshape(16, 4).sum(axis=1)
    assert np.ptp(products) < 0.5 * np.ptp(np.log(variances).reshape(16, 4).sum(axis=1))


@pytest.mark.parametrize("kept", [32, 16])
def test_distances_are_unchanged_along_the_axes_that_are_kept(kept):
    vectors = uneven(2000)
    index = faiss.index_factory(32, f"OPQ8_{kept},PQ8x4fs", faiss.METRIC_L2)
    set_rotation(index, vectors)
    turned = index.chain.at(0).apply(vectors[:50])
    before = np.linalg.norm(vectors[:25] - vectors[25:50], axis=1)
    after = np.linalg.norm(turned[:25] - turned[25:], axis=1)
    np.testing.assert_allclose(after, before, rtol=1e-4 if kept == 32 else 0.1)


def test_codes_of_rotated_descriptors_select_better_candidates():
    vectors, queries = uneven(4000), uneven(100, seed=1)
    shares = []
    for factory in ("IVF8,PQ8x4fs", "OPQ8_32,IVF8,PQ8x4fs"):
        store = FaissStore.create(32)
        store.add(vectors, np.arange(4000))
        store.arrange(factory, progress=False)
        store.tune({"nprobe": 8, "k_factor": 2})
        shares.append(recall_of(store.search(queries, 10)[1], store.search_exactly(queries, 10)[1]))
    assert shares[1] > shares[0] + 0.05


def test_a_single_query_has_the_matches_that_it_has_in_a_batch():
    store = FaissStore.create(32)
    store.add(uneven(4000), np.arange(4000))
    store.arrange("OPQ16_32,IVF16,PQ16x4fs", progress=False)
    store.tune({"nprobe": 8, "k_factor": 4})
    queries = uneven(64, seed=1)
    alone = np.concatenate([store.search(query[None], 10)[1] for query in queries])
    assert inner(store.candidates).implem != 0
    together = store.search(queries, 10)[1]
    assert inner(store.candidates).implem == 0
    assert recall_of(alone, together) > 0.99


def test_the_lower_bound_of_a_recall_is_below_it_and_rises_with_more_queries():
    truth = np.tile(np.arange(10), (400, 1))
    found = truth.copy()
    found[::2, :2] = -1  # half of the queries miss two of ten
    assert recall_of(found, truth) == pytest.approx(0.9)
    assert surely(found[:40], truth[:40]) < surely(found, truth) < 0.9
    assert surely(truth, truth) == 1
    # of many such measurements, 19 of 20 promise no more than is true
    random = np.random.default_rng(0)
    promised = [surely(found[rows], truth[rows]) for rows in random.integers(0, 400, (500, 100))]
    assert 0.92 < np.mean(np.array(promised) <= 0.9) < 0.98
