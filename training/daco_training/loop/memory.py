"""How much memory there is, and that what was freed of it is kept."""

import ctypes
import os
import sys

import torch

from daco_core.memory import machine_memory

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
TRIM_THRESHOLD, MMAP_MAX = 128 * 2**10, 65536  # what they are in glibc
_kept = False


def total_memory(device: torch.device) -> int:
    """Bytes of memory of a GPU, or of this machine; of a container that is limited to less, its limit."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_memory()


def keep_freed() -> None:
    """Lets this process keep the memory that it frees, for what it takes next; on Linux with glibc, else nothing.

    A training step on a CPU takes gigabytes and gives them back, and the system clears each page before it gives it
    out again: up to half of the step's time (measured: docs/reference/training-speed.md).
    """
    global _kept
    _kept = True
    _allocator("mallopt", M_MMAP_MAX, 0)
    _allocator("mallopt", M_TRIM_THRESHOLD, -1)


def stop_keeping_freed() -> None:
    """Ends what `keep_freed` began: the allocator works as the environment says, else as glibc does."""
    global _kept
    if _kept:
        _allocator("mallopt", M_MMAP_MAX, int(os.environ.get("MALLOC_MMAP_MAX_", MMAP_MAX)))
        _allocator("mallopt", M_TRIM_THRESHOLD, int(os.environ.get("MALLOC_TRIM_THRESHOLD_", TRIM_THRESHOLD)))
        give_back_freed()
        _kept = False


def give_back_freed() -> None:
    """Gives the memory that `keep_freed` kept back to the system."""
    _allocator("malloc_trim", 0)


def _allocator(function: str, *arguments: int) -> None:
    known = getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
    if known is not None:
        known(*arguments)
