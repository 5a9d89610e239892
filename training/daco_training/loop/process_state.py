"""Restores the state of the process that a run changes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from daco_core.errors import UsageError
from daco_training.loop.memory import stop_keeping_freed

_running = threading.Lock()


@contextmanager
def process_state_restored() -> Iterator[None]:
    """Around a run: afterwards, PyTorch's random state, cuDNN's flag and the allocator are as before.

    Only one run at a time is possible, because all threads share the same random numbers.

    Raises:
        UsageError: another run is in progress in this process.
    """
    if not _running.acquire(blocking=False):
        raise UsageError(
            "Another training is in progress in this process, and would share its random numbers: wait until it ends."
        )
    deterministic = torch.backends.cudnn.deterministic
    # a GPU that has not been used yet has no state to restore
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else range(0)  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.backends.cudnn.deterministic = deterministic
        stop_keeping_freed()
        _running.release()
