"""Requirements on every vector store, and on generations that share a collection."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from daco_core.errors import DacoError
from daco_index.generations.folders import GENERATIONS
from daco_index.search.store import VectorStore
from daco_index.search.stores.address import MilvusAddress, check_address
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.milvus import MilvusStore

from ..documentation.test_extending import shown

Stores = Callable[[], tuple[VectorStore, Callable[[Path], VectorStore]]]


LITE, STANDALONE = "Milvus Lite", "Milvus 2.3"
SERVERS = [LITE, pytest.param(STANDALONE, marks=pytest.mark.slow)]


def real_address(request: pytest.FixtureRequest, name: str) -> str:
    """A place on the Milvus named by DACO_TEST_MILVUS (`milvus://host:19530`), or else on the server of the test."""
    if given := os.environ.get("DACO_TEST_MILVUS"):
        return f"{given}/{name}"
    server = request.getfixturevalue("milvus" if request.param == LITE else "milvus_standalone")
    return str(server.address(name))


@pytest.fixture(params=["faiss", *SERVERS, "docs/guide/extend.md"])
def empty(request, tmp_path) -> tuple[Any, Callable[[Path], VectorStore]]:
    """An empty store of 8 numbers a vector, and what loads it again."""
    if request.param == "faiss":
        return FaissStore.create(8), FaissStore.load
    if request.param == "docs/guide/extend.md":
        shown_store = shown("NumpyStore")["NumpyStore"]
        return shown_store(8), shown_store.load
    address = MilvusAddress.parse(real_address(request, "contract"))
    owner = uuid4().hex[:8]
    store = MilvusStore.begin(address, tmp_path / "none", owner, "f" * 64, 8, 1)
    request.addfinalizer(store.drop)
    return store, MilvusStore.load


@pytest.fixture
def vectors():
    drawn = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def store(empty, vectors):
    empty[0].add(vectors[:30], np.arange(100, 130))
    empty[0].add(vectors[30:], np.arange(130, 150))
    return empty[0]


def test_search_is_the_exact_inner_product_order(store, vectors):
    similarities, ids = store.search(vectors, 50)
    exact = vectors @ vectors.T
    np.testing.assert_allclose(similarities, -np.sort(-exact, axis=1), atol=1e-6)
    np.testing.assert_array_equal(ids[:, 0], np.arange(100, 150))


def test_missing_matches_have_the_id_minus_one(store, vectors):
    _, ids = store.search(vectors[:1], 60)
    assert (ids[0, :50] >= 100).all()
    assert (ids[0, 50:] == -1).all()


def test_removed_vectors_are_not_found_and_unknown_ids_are_ignored(store, vectors):
    store.remove(np.array([100, 149, 9999]))
    assert store.count == 48
    _, ids = store.search(vectors, 48)
    assert not {100, 149} & set(ids.ravel().tolist())


def test_vectors_are_returned_unchanged_and_unknown_ids_are_an_error(store, vectors):
    np.testing.assert_array_equal(store.vectors(np.array([149, 100, 100, 117])), vectors[[49, 0, 0, 17]])
    assert store.vectors(np.array([], dtype=np.int64)).shape == (0, 8)
    for unknown in (99, 150):
        with pytest.raises(KeyError, match=str(unknown)):
            store.vectors(np.array([100, unknown]))
    assert sorted(store.ids().tolist()) == list(range(100, 150))


def test_a_saved_store_answers_as_before(store, empty, vectors, tmp_path):
    store.save(tmp_path / "v")
    again = empty[1](tmp_path / "v")
    assert (again.count, again.dimension, again.address) == (50, 8, store.address)
    again.check()
    for before, after in zip(store.search(vectors, 5), again.search(vectors, 5), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(again.vectors(np.array([120])), vectors[[20]])


def test_files_that_are_no_store_are_rejected_by_name(empty, tmp_path):
    (tmp_path / "v").write_bytes(b"nothing that anybody knows" * 9)
    for name in ("v", "missing"):
        with pytest.raises(DacoError, match=name):
            empty[1](tmp_path / name)


# ---- what only Milvus has to promise: generations that share a collection ------------------------------------------


class Generations:
    """An index folder reduced to what Milvus looks at: the pointers of its finished generations."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder, self.owner = MilvusAddress.parse(address), folder, uuid4().hex[:8]

    def begin(self, number: int) -> MilvusStore:
        return MilvusStore.begin(self.address, self.folder, self.owner, "f" * 64, 8, number)

    def finish(self, number: int, store: MilvusStore) -> MilvusStore:
        file = self.folder / GENERATIONS / str(number) / "vectors.milvus.json"
        file.parent.mkdir(parents=True)
        store.save(file)
        return MilvusStore.load(file)


@pytest.fixture(params=SERVERS)
def generations(request, tmp_path):
    made = Generations(real_address(request, "generations"), tmp_path)
    yield made
    shutil.rmtree(tmp_path / GENERATIONS)
    made.begin(1)  # with no generation left, it drops what there was


def seen(store: MilvusStore, vectors: np.ndarray) -> list[int]:
    found = store.search(vectors, 50)[1][:, 0]
    ids = sorted(store.ids().tolist())
    assert store.count == len(ids) and set(found.tolist()) <= set(ids)
    return ids


def test_each_generation_sees_its_own_rows_while_others_are_written(generations, vectors):
    first = generations.begin(1)
    first.add(vectors[:10], np.arange(10))
    first = generations.finish(1, first)
    second = generations.begin(2)
    assert seen(second, vectors) == list(range(10))
    second.remove(np.array([3, 4]))
    second.add(vectors[10:15], np.arange(10, 15))
    assert seen(first, vectors) == list(range(10))
    second = generations.finish(2, second)
    assert seen(first, vectors) == list(range(10))
    assert seen(second, vectors) == [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    np.testing.assert_array_equal(first.vectors(np.array([3])), vectors[[3]])


def test_rows_left_by_a_crash_are_removed_by_the_next_writer(generations, vectors):
    first = generations.begin(1)
    first.add(vectors[:10], np.arange(10))
    first = generations.finish(1, first)
    crashed = generations.begin(2)
    crashed.remove(np.array([3, 4]))
    crashed.add(vectors[40:45], np.arange(10, 15))
    del crashed
    assert seen(first, vectors) == list(range(10))
    again = generations.begin(2)
    assert seen(again, vectors) == list(range(10))
    again.add(vectors[20:22], np.arange(10, 12))
    assert seen(generations.finish(2, again), vectors) == list(range(12))


def test_rows_and_collections_that_no_generation_uses_are_deleted(generations, vectors):
    for number in (1, 2, 3):
        store = generations.begin(number)
        store.remove(np.array([number - 1]))
        store.add(vectors[10 * number : 10 * number + 10], np.arange(10 * number, 10 * number + 10))
        last = generations.finish(number, store)
    shutil.rmtree(generations.folder / GENERATIONS / "1")
    shutil.rmtree(generations.folder / GENERATIONS / "2")
    generations.begin(4)
    call = last._connection.call
    rows = call("query", last.collection, filter="id >= 0", output_fields=["count(*)"], consistency_level="Strong")
    assert rows[0]["count(*)"] == last.count == 30
    shutil.rmtree(generations.folder / GENERATIONS / "3")
    generations.begin(5)
    assert [name for name in call("list_collections") if generations.owner in name] == [last.collection]
    assert generations.begin(5).count == 0


def test_a_collection_with_missing_rows_is_rejected(generations, vectors):
    store = generations.begin(1)
    store.add(vectors, np.arange(50))
    generations.finish(1, store)
    store._connection.call("delete", store.collection, ids=[(1 << 40) | 7])
    with pytest.raises(DacoError, match="has 49 of the 50 vectors"):
        MilvusStore.load(generations.folder / GENERATIONS / "1" / "vectors.milvus.json")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("milvus", "no store 'milvus'"),
        ("http://host/town", "not an address"),
        ("milvus://host", "not an address"),
        ("milvus://host:99999/town", "not an address"),
        ("milvus://host/my-town", "letters, digits"),
        ("milvus://root:secret@host/town", "DACO_MILVUS_TOKEN"),
        ("milvus://host/town?index=LSH", "one of HNSW"),
        ("milvus://host/town?replicas=2", "nothing else"),
    ],
)
def test_an_invalid_address_is_reported_in_one_sentence(text, sentence):
    with pytest.raises(DacoError, match=sentence):
        check_address(text)


def test_an_address_is_stored_in_one_form():
    assert check_address("FAISS") == "faiss"
    assert check_address("milvus://host/town/?index=hnsw") == "milvus://host:19530/town"
    assert check_address("milvus+tls://Host:443/town?index=ivf_sq8") == "milvus+tls://host:443/town?index=IVF_SQ8"
