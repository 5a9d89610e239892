"""The number of available cores, and parallel work on many items with progress."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64  # how many results may wait for the consumer, so that any number of items fits in memory


def available_cores() -> int:
    """The cores that this process may use; with taskset or in a batch job, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], description: str, unit: str = "image"
) -> Iterator[Result]:
    """Yields `function` of each item in order, computed in parallel threads.

    Shows a progress bar on stderr after two seconds. On Ctrl-C, and when a call raises, items that have not started
    are dropped.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor() as pool, tqdm(total=len(items), desc=description, unit=unit, delay=2) as progress:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
                    progress.update()
            while pending:
                yield pending.popleft().result()
                progress.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
