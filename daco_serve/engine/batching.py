"""Many requests, one batch: whatever waits when the engine is free goes through it together."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):
    """As many items wait as may wait."""


class Batcher(Generic[Item, Result]):
    """Runs `work` in a thread of its own, on everything that has come in since it last ran.

    There is no timer: an item that comes alone goes alone and at once, and the busier the engine, the fuller the
    batches. A cancelled item is left out. If a batch fails, its items are tried one by one, so that only the bad one
    fails.

    Args:
        work: n items to n results, in order.
        max_batch: most items for one call of `work`.
        max_waiting: most items that may wait, those in work not counted.

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
        # ends by itself when nobody holds the batcher any more
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def submit(self, item: Item) -> "Future[Result]":
        """Queues an item; the result is what `work` makes of it, or the exception that it raises.

        Raises:
            QueueFull: try again later.
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
        """Whether the batch's futures are done; the last try passes its exception on to them."""
        try:
            results = self._work([item for item, _ in batch])
            if len(results) != len(batch):  # looked at before any future is done, which cannot be undone
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
