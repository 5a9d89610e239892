"""Combines requests into batches: everything that waits when the engine becomes free is run together."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):
    """The queue is full."""


class Batcher(Generic[Item, Result]):
    """Runs `work` in its own thread, on everything that was submitted since its last run.

    There is no timer: a single item is run immediately, and the busier the engine, the larger the batches. Cancelled
    items are left out. If a batch fails, its items are run one by one, so that only those that cause the failure
    fail.

    Args:
        work: a function from n items to n results, in order.
        max_batch: the largest number of items in one call of `work`.
        max_waiting: the largest number of waiting items, without those in work.

    Example:
        >>> double = Batcher(lambda numbers: [2 * number for number in numbers])
        >>> double.submit(21).result()
        42
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result]], max_batch: int = 16, max_waiting: int = 64
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._lock = threading.Lock()
        # the thread ends by itself when the batcher is no longer referenced
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def submit(self, item: Item) -> "Future[Result]":
        """Queues an item; the future gets its result from `work`, or the exception.

        Raises:
            QueueFull: too many items wait; try again later.
        """
        future: Future[Result] = Future()
        with self._lock:
            if len(self._waiting) >= self._max_waiting:
                raise QueueFull
            self._waiting.append((item, future))
        self._thread.submit(self._run_waiting)
        return future

    def _run_waiting(self) -> None:
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
        batch = [(item, future) for item, future in taken if future.set_running_or_notify_cancel()]
        if batch and not self._try(batch):
            for single in batch:
                self._try([single], last=True)

    def _try(self, batch: list[tuple[Item, "Future[Result]"]], last: bool = False) -> bool:
        """Runs a batch; returns whether its futures are done. The last attempt passes its exception on to them."""
        try:
            results = self._work([item for item, _ in batch])
            if len(results) != len(batch):  # checked before any future is done, which cannot be undone
                raise RuntimeError(f"{len(batch)} items gave {len(results)} results")
        except Exception as error:
            if not last:
                return False
            for _, future in batch:
                future.set_exception(error)
            return True
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        return True
