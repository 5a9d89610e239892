"""Threads: how many cores they may use; and one piece of work for each of many items, with progress."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64  # how far the threads may run ahead of who takes the results, so that a set of any size fits in memory


def available_cores() -> int:
    """The cores that this process may run on; under taskset or in a batch job not all that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], description: str, unit: str = "image"
) -> Iterator[Result]:
    """`function` of each item, in the items' order; decoding and copying run side by side.

    Shows a progress bar on stderr once it takes longer than two seconds. On Ctrl-C, and when a result is an
    exception, what was not begun is dropped.
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
