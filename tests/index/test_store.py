"""Requirements on every vector store, tested on all stores; and the requested number of candidates."""

import faiss
import numpy as np
import pytest

from daco_core.errors import DacoError
from daco_index.search.index_choice import EXACT
from daco_index.search.stores.faiss import FaissStore, candidates_file, check_factory
from daco_index.search.stores.gpu import wanted

# one of each kind that FAISS treats differently when vectors join and leave
INDEXES = ["IVF8,SQ8", "PCAR12,IVF4,PQ6x4fs", "HNSW16,SQ8", "IVF4,RaBitQfs", "SQfp16"]


def draw(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    return draw(1000)


@pytest.fixture(params=[EXACT, *INDEXES])
def store(request, vectors):
    """900 vectors, under the even numbers from 100."""
    store = FaissStore.create(16)
    store.add(vectors[:900], 100 + 2 * np.arange(900))
    store.arrange(request.param)
    look_everywhere(store)
    return store


def look_everywhere(store: FaissStore) -> None:
    """Sets a store to miss next to nothing, so that what it finds can be foreseen."""
    if store.candidates is not None:
        store.tune({"k_factor": 20})
    for name in ("nprobe", "efSearch"):
        try:
            store.tune({name: 8 if name == "nprobe" else 256})
        except RuntimeError:
            continue


def share_found(store: FaissStore, queries: np.ndarray) -> float:
    _, found = store.search(queries, 10)
    _, exact = store.search_exactly(queries, 10)
    return float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, exact, strict=True)]))


def test_matches_have_exact_similarities_in_descending_order(store, vectors):
    similarities, ids = store.search(vectors[:50], 10)
    exact = np.einsum("qd,qkd->qk", vectors[:50], vectors[(ids - 100) // 2])
    np.testing.assert_allclose(similarities, exact, atol=1e-6)
    assert (np.diff(similarities) <= 0).all()
    np.testing.assert_array_equal(ids[:, 0], 100 + 2 * np.arange(50))


def test_nearly_all_of_the_exact_nearest_are_found(store):
    assert share_found(store, draw(100, seed=1)) > 0.95


@pytest.mark.parametrize("k", [1, 7, 900, 950])
def test_a_search_returns_k_answers_or_all_that_there_are(store, vectors, k):
    similarities, ids = store.search(vectors[:3], k)
    assert similarities.shape == ids.shape == (3, k)
    assert (ids[:, :900] >= 100).all()
    assert (ids[:, 900:] == -1).all()
    assert all(len(set(row[:900])) == min(k, 900) for row in ids.tolist())


def test_an_empty_batch_has_no_answers(store, vectors):
    similarities, ids = store.search(vectors[:0], 5)
    assert similarities.shape == ids.shape == (0, 5)


def test_removed_vectors_are_not_found_and_unknown_ids_are_ignored(store, vectors):
    store.remove(np.array([100, 104, 1898, 101, 9999]))
    assert store.count == 897
    _, ids = store.search(vectors[:900], 10)
    assert not {100, 104, 1898} & set(ids.ravel().tolist())
    np.testing.assert_array_equal(ids[[1, 3, 500], 0], [102, 106, 1100])
    with pytest.raises(KeyError):
        store.vectors(np.array([104]))


def test_added_vectors_are_found(store, vectors):
    store.add(vectors[900:], 7 * np.arange(1000, 1100))
    _, ids = store.search(vectors[900:], 1)
    np.testing.assert_array_equal(ids[:, 0], 7 * np.arange(1000, 1100))
    np.testing.assert_array_equal(store.vectors(ids[:, 0]), vectors[900:])


def test_vectors_are_returned_unchanged(store, vectors):
    ids = np.array([1898, 100, 102, 102])
    np.testing.assert_array_equal(store.vectors(ids), vectors[[899, 0, 1, 1]])
    assert store.vectors(np.array([], dtype=np.int64)).shape == (0, 16)
    with pytest.raises(KeyError):
        store.vectors(np.array([100, 103]))


def test_a_saved_store_answers_as_before_and_can_be_changed(store, vectors, tmp_path):
    store.save(tmp_path / "v.faiss")
    again = FaissStore.load(tmp_path / "v.faiss", store.candidates is not None)
    look_everywhere(again)
    assert (again.count, again.dimension) == (900, 16)
    for before, after in zip(store.search(vectors, 5), again.search(vectors, 5), strict=True):
        np.testing.assert_array_equal(before, after)
    again.add(vectors[900:], np.arange(5000, 5100))
    again.remove(np.array([100]))
    assert share_found(again, vectors[850:950]) > 0.95


@pytest.mark.parametrize("store", INDEXES, indirect=True)
def test_a_rebuilt_candidate_index_contains_the_current_vectors(store, vectors):
    numbers = 100 + 2 * np.arange(1000)
    for rows in (np.arange(1000), np.arange(100, 900), np.r_[0:400, 500:1000]):
        changed = FaissStore.create(16)
        changed.add(vectors[rows], numbers[rows])
        changed.arrange("not looked at", like=store)
        look_everywhere(changed)
        _, ids = changed.search(vectors[rows], 1)
        np.testing.assert_array_equal(ids[:, 0], numbers[rows])
        assert share_found(changed, draw(100, seed=2)) > 0.95


@pytest.mark.parametrize("store", INDEXES, indirect=True)
def test_the_index_in_memory_is_smaller_than_the_vectors(store, vectors):
    double = FaissStore.create(16)
    double.add(np.concatenate([vectors] * 4), np.arange(4000))
    double.arrange("not looked at", like=store)
    assert double.bytes_per_vector < 1.1 * store.bytes_per_vector
    assert FaissStore.create(16).bytes_per_vector == 4 * 16 + 2 * 8


@pytest.mark.parametrize("factory", ["nonsense", "", "IVF64,PQ7", "IVFx,Flat", "PQ16x4fs,"])
def test_an_index_type_unknown_to_faiss_is_rejected_with_examples(factory):
    with pytest.raises(DacoError, match=r"FAISS cannot build an index .* Examples: Flat, HNSW32"):
        check_factory(factory, 64)


@pytest.mark.parametrize("factory", ["IVF64,SQ8", "PQ4x4fs", "PCA99,SQ8"])
def test_too_few_vectors_for_training_are_rejected(factory, vectors):
    store = FaissStore.create(16)
    store.add(vectors[:10], np.arange(10))
    with pytest.raises(DacoError, match=f"An index {factory} cannot be built from 10 descriptors of 16 numbers: "):
        store.arrange(factory)
    np.testing.assert_array_equal(store.search(vectors[:10], 1)[1][:, 0], np.arange(10))


def test_files_that_are_no_store_are_rejected_by_name(tmp_path, vectors):
    (tmp_path / "v").write_bytes(b"nothing that FAISS knows" * 9)
    for name in ("v", "missing"):
        with pytest.raises(DacoError, match=f"{name} is not an index"):
            FaissStore.load(tmp_path / name)
    sizes = {}
    for name, count in (("one.faiss", 900), ("other.faiss", 800)):
        sizes[name] = FaissStore.create(16)
        sizes[name].add(vectors[:count], np.arange(count))
        sizes[name].arrange("IVF4,SQ8")
        sizes[name].save(tmp_path / name)
    candidates_file(tmp_path / "one.faiss").replace(candidates_file(tmp_path / "other.faiss"))
    with pytest.raises(DacoError, match=r"other.candidates.faiss does not belong to other.faiss"):
        FaissStore.load(tmp_path / "other.faiss", candidates=True)


def test_ids_need_not_be_ascending(vectors):
    numbers = np.random.default_rng(0).permutation(900)
    store = FaissStore.create(16)
    store.add(vectors[:900], numbers)
    store.arrange("IVF4,SQ8")
    np.testing.assert_array_equal(store.vectors(numbers), vectors[:900])
    np.testing.assert_array_equal(store.search(vectors[:900], 1)[1][:, 0], numbers)
    with pytest.raises(KeyError):
        store.vectors(np.array([900]))


def test_a_missing_gpu_is_an_error_only_with_gpu_on():
    if faiss.get_num_gpus():
        pytest.skip("there is a GPU")
    assert not wanted("auto")
    assert not wanted("off")
    with pytest.raises(DacoError, match="FAISS sees no GPU here"):
        wanted("on")


def test_the_number_of_candidates_is_limited_to_what_faiss_supports_on_a_gpu(vectors, monkeypatch):
    monkeypatch.setattr("daco_index.search.stores.faiss.move_there", lambda index: (faiss.clone_index(index), None))
    monkeypatch.setattr("daco_index.search.stores.faiss.GPU_MOST", 200)
    store = FaissStore.create(16)
    store.add(vectors, np.arange(1000))
    store.arrange("IVF8,SQ8")
    store.tune({"k_factor": 80, "nprobe": 8})
    assert store.move_to_gpu()
    for k, factor in ((1, 20), (40, 5), (150, 1)):
        assert store.search(vectors[:2], k)[1].shape == (2, k)
        assert store._searched.k_factor == factor
    assert (store.search(vectors[:2], 300)[1] == store.search_exactly(vectors[:2], 300)[1]).all()
