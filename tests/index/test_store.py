"""What every vector store promises, on the stores that exist."""

import numpy as np
import pytest

from index.stores.faiss import FaissStore
from training.errors import DacoError


@pytest.fixture
def vectors():
    drawn = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def store(vectors):
    store = FaissStore.create(8, "IDMap2,Flat")
    store.add(vectors, np.arange(100, 150))
    return store


def test_search_is_the_exact_inner_product_order(store, vectors):
    similarities, ids = store.search(vectors, 50)
    exact = vectors @ vectors.T
    np.testing.assert_allclose(similarities, -np.sort(-exact, axis=1), atol=1e-6)
    np.testing.assert_array_equal(ids[:, 0], np.arange(100, 150))


def test_missing_rows_have_the_id_minus_one(store, vectors):
    _, ids = store.search(vectors[:1], 60)
    assert (ids[0, :50] >= 100).all()
    assert (ids[0, 50:] == -1).all()


def test_removed_vectors_are_not_found_and_unknown_ids_are_passed_over(store, vectors):
    store.remove(np.array([100, 149, 9999]))
    assert store.count == 48
    _, ids = store.search(vectors, 48)
    assert not {100, 149} & set(ids.ravel().tolist())


def test_a_saved_store_answers_as_before(store, vectors, tmp_path):
    store.save(tmp_path / "v")
    again = FaissStore.load(tmp_path / "v")
    assert (again.count, again.dimension) == (50, 8)
    for before, after in zip(store.search(vectors, 5), again.search(vectors, 5), strict=True):
        np.testing.assert_array_equal(before, after)


def test_files_that_are_no_store_are_refused_by_name(tmp_path):
    (tmp_path / "v").write_bytes(b"nothing that FAISS knows" * 9)
    for name in ("v", "missing"):
        with pytest.raises(DacoError, match=f"{name} is not an index"):
            FaissStore.load(tmp_path / name)
