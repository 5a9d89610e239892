"""The size of memory, and keeping freed memory for reuse."""

import ctypes
import os
import sys

import torch

from daco_core.memory import machine_memory

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
TRIM_THRESHOLD, MMAP_MAX = 128 * 2**10, 65536  # the defaults of glibc
_kept = False


def total_memory(device: torch.device) -> int:
    """Bytes of memory of a GPU or of this machine; the limit of its container if that is lower."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_memory()


def keep_freed() -> None:
    """Makes this process keep freed memory for later allocations; on Linux with glibc only.

    A training step on a CPU allocates and frees gigabytes, and the system clears each page before it is allocated
    again: up to half of the step's time (measured: docs/reference/training-speed.md).
    """
    global _kept
    _kept = True
    _allocator("mallopt", M_MMAP_MAX, 0)
    _allocator("mallopt", M_TRIM_THRESHOLD, -1)


def stop_keeping_freed() -> None:
    """Reverses `keep_freed`: the allocator works as the environment says, or else with glibc's defaults."""
    global _kept
    if _kept:
        _allocator("mallopt", M_MMAP_MAX, int(os.environ.get("MALLOC_MMAP_MAX_", MMAP_MAX)))
        _allocator("mallopt", M_TRIM_THRESHOLD, int(os.environ.get("MALLOC_TRIM_THRESHOLD_", TRIM_THRESHOLD)))
        give_back_freed()
        _kept = False


def give_back_freed() -> None:
    """Returns the memory that `keep_freed` kept to the system."""
    _allocator("malloc_trim", 0)


def _allocator(function: str, *arguments: int) -> None:
    known = getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
    if known is not None:
        known(*arguments)
