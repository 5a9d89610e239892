"""The batching engine returns the right result for every item, whatever else is in the batch."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from daco_serve.engine.batching import Batcher, QueueFull


class Gate:
    """Work that doubles numbers once it is let through; remembers its batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.open.wait(10)
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]


def blocked(gate: Gate, **limits: int) -> "Batcher[int, int]":
    """A batcher whose engine is busy with item 0."""
    batcher = Batcher[int, int](gate, **limits)
    batcher.submit(0)
    assert gate.begun.wait(10)
    return batcher


def test_sixteen_concurrent_threads_get_their_own_results() -> None:
    batcher = Batcher[int, int](lambda items: [2 * item for item in items], max_batch=4, max_waiting=1000)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda item: batcher.submit(item).result(10), range(800)))
    assert results == [2 * item for item in range(800)]


def test_items_that_wait_for_the_engine_form_one_batch_up_to_its_size() -> None:
    gate = Gate()
    batcher = blocked(gate, max_batch=3)
    futures = [batcher.submit(item) for item in range(1, 6)]
    gate.open.set()
    assert [future.result(10) for future in futures] == [2, 4, 6, 8, 10]
    assert gate.batches == [[0], [1, 2, 3], [4, 5]]


def test_a_full_queue_rejects_at_once_and_accepts_again_when_it_has_room() -> None:
    gate = Gate()
    batcher = blocked(gate, max_waiting=2)
    waiting = [batcher.submit(1), batcher.submit(2)]
    with pytest.raises(QueueFull):
        batcher.submit(3)
    gate.open.set()
    assert [future.result(10) for future in waiting] == [2, 4]
    assert batcher.submit(3).result(10) == 6


def test_a_cancelled_item_is_never_processed() -> None:
    gate = Gate()
    batcher = blocked(gate)
    dropped, kept = batcher.submit(1), batcher.submit(2)
    assert dropped.cancel()
    gate.open.set()
    assert kept.result(10) == 4
    assert gate.batches == [[0], [2]]


def test_one_bad_item_fails_alone() -> None:
    gate = Gate()
    batcher = blocked(gate)
    futures = [batcher.submit(item) for item in (1, 13, 3)]
    gate.open.set()
    assert (futures[0].result(10), futures[2].result(10)) == (2, 6)
    with pytest.raises(ValueError, match="thirteen"):
        futures[1].result(10)


@pytest.mark.parametrize("given", [0, 1, 3])
def test_an_engine_with_a_wrong_number_of_results_fails_its_batch_without_hanging(given: int) -> None:
    gate = Gate()

    def work(items: Sequence[int]) -> list[int]:
        done = gate(items)
        return done if items == [0] or items == [9] else [7] * given if len(items) > 1 else []

    batcher = Batcher[int, int](work)
    batcher.submit(0)
    assert gate.begun.wait(10)
    futures = [batcher.submit(1), batcher.submit(2)]
    gate.open.set()
    for future in futures:
        with pytest.raises(RuntimeError, match="1 items gave 0 results"):
            future.result(10)
    assert batcher.submit(9).result(10) == 18
