"""Exact search with one thread and with all."""

from collections.abc import Iterator

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from daco_index.search.stores.exact import LINE, Exact, in_large_pages


@pytest.fixture(params=[1, 2, 7, "few"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So many threads, for however few vectors; or as they come, where these are few."""
    before = faiss.omp_get_max_threads()
    if request.param == "few":
        yield
        return
    monkeypatch.setattr("daco_index.search.stores.exact.ALONE", 0)
    faiss.omp_set_num_threads(request.param)
    yield
    faiss.omp_set_num_threads(before)


def vectors(count: int, dimension: int = 20) -> NDArray[np.float32]:
    drawn = np.random.default_rng(count).standard_normal((count, dimension), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 8, 13, 1001])
@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_one_query_has_the_matches_of_faiss(threads: None, count: int, k: int) -> None:
    flat = faiss.IndexFlatIP(20)
    flat.add(vectors(count))
    exact = Exact(vectors(count))
    for query in vectors(4):
        similarities, rows = exact.search(query[None], k)
        expected = flat.search(query[None], k)
        assert rows.tolist() == expected[1].tolist()
        np.testing.assert_allclose(similarities, expected[0], atol=1e-6)


def test_equal_vectors_are_all_found(threads: None) -> None:
    same = np.tile(vectors(1), (9, 1))
    similarities, rows = Exact(np.vstack([vectors(50), same])).search(same[:1], 9)
    assert sorted(rows[0].tolist()) == list(range(50, 59))
    assert similarities[0].tolist() == pytest.approx([1.0] * 9)


def test_a_single_query_is_answered_as_in_a_batch(threads: None) -> None:
    exact = Exact(vectors(333))
    together = exact.search(vectors(40), 5)
    for row, query in enumerate(vectors(40)):
        similarities, rows = exact.search(query[None], 5)
        assert rows[0].tolist() == together[1][row].tolist()
        np.testing.assert_allclose(similarities[0], together[0][row], atol=1e-6)


def test_an_empty_batch_has_no_answers(threads: None) -> None:
    similarities, rows = Exact(vectors(50)).search(vectors(3)[:0], 5)
    assert similarities.shape == rows.shape == (0, 5)


@pytest.mark.parametrize("count", [1, 3, 5000])
def test_a_copy_begins_on_a_cache_line(count: int) -> None:
    copies = [in_large_pages(vectors(count)) for _ in range(5)]
    assert all(copy.ctypes.data % LINE == 0 and copy.flags.c_contiguous for copy in copies)
    assert all(np.array_equal(copy, vectors(count)) for copy in copies)
