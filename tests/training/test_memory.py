"""The memory that a training keeps."""

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

if sys.argv[1] == "keep":
    keep_freed()
first, second = faults(), faults()
held = resident()
give_back_freed()
if sys.argv[1] == "stop":
    keep_freed()
    stop_keeping_freed()
    first, second = faults(), faults()
print(first, second, held - resident())
"""


def run(mode: str) -> tuple[int, int, int]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, timeout=120, check=True)
    first, second, given_back = map(int, done.stdout.split())
    return first, second, given_back


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)
def test_what_was_freed_is_taken_again_without_the_system_until_it_is_given_back() -> None:
    first, second, given_back = run("keep")
    assert second < first / 20
    assert given_back > 100 << 20
    for mode in ("leave", "stop"):
        first, second, _ = run(mode)
        assert second > first / 2
