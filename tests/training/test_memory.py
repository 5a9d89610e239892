"""The memory of descriptors during training."""

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
import os, resource, sys
import numpy as np
from daco_training.loop.memory import give_back_freed, keep_freed, stop_keeping_freed

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(size << 20, np.uint8) for size in (3, 70, 40)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def measure(mode):
    if mode == "keep":
        keep_freed()
    first, second = faults(), faults()
    held = resident()
    give_back_freed()
    if mode == "stop":
        keep_freed()
        stop_keeping_freed()
        first, second = faults(), faults()
    print(first, second, held - resident(), flush=True)

for mode in sys.argv[1:]:
    if os.fork() == 0:
        measure(mode)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)
def test_freed_memory_is_reused_without_page_faults_until_it_is_returned() -> None:
    command = [sys.executable, "-c", SCRIPT, "keep", "leave", "stop"]  # each in a process of its own
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    kept, left, stopped = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
    first, second, given_back = kept
    assert second < first / 20
    assert given_back > 100 << 20
    for first, second, _ in (left, stopped):
        assert second > first / 2
