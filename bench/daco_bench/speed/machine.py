"""A description of the machine on which figures were measured."""

import platform
from pathlib import Path
from typing import Any

from daco_core.threads import available_cores


def machine() -> dict[str, Any]:
    """Processor, cores, GPU and versions, as plain values."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        **_torch(),
        "python": platform.python_version(),
    }


def in_words(described: dict[str, Any]) -> str:
    """The machine in one line: `2 cores of AMD EPYC, no GPU, torch 2.13.0, Python 3.12.3`."""
    gpu, torch = described["gpu"] or "no GPU", described["torch"]
    return (
        f"{described['cores']} cores of {described['processor']}, {gpu}, {f'torch {torch}' if torch else 'no torch'},"
        f" Python {described['python']}"
    )


def _torch() -> dict[str, str | None]:
    """The GPU that PyTorch sees, and PyTorch's version; None if it is not installed, as for serving on a CPU."""
    try:
        import torch
    except ImportError:
        return {"gpu": None, "torch": None}
    return {"gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None, "torch": torch.__version__}


def processor() -> str:
    """The processor's name, if the system provides it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
