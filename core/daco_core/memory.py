"""The size of the machine's memory."""

import os
from pathlib import Path

CONTROL_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_memory() -> int:
    """Bytes of memory of this machine, or the limit of its container if that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(CONTROL_GROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no control group, or "max"
        return total
