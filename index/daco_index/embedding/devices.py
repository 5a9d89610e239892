"""Selects the device of an engine; without a GPU, this needs no PyTorch."""

import ctypes
import importlib.util
import re
from contextlib import suppress

from daco_core.errors import MissingExtra, UsageError

CPU = "cpu"


def pick_device(name: str = "auto") -> str:
    """`cpu`, or PyTorch's name of a GPU; `auto` is a GPU if PyTorch can use one, else the CPU.

    Raises:
        UsageError: there is no such device.
        MissingExtra: PyTorch, which is needed for a GPU, is not installed.
    """
    if name == CPU:
        return CPU
    if name == "auto":
        return "cuda" if _has_driver() and importlib.util.find_spec("torch") and _gpus() else CPU
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise UsageError(f"No device {name!r}: choose auto, cpu, cuda or cuda:N.")
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("A GPU needs PyTorch, which is not installed: pip install 'daco-serve[gpu]'.")
    number, count = int(name.partition(":")[2] or 0), _gpus()
    if number >= count:
        here = f"its GPUs are {', '.join(map(str, range(count)))}" if count else "PyTorch can use none"
        raise UsageError(f"This machine has no GPU {number}: {here}. Use --device auto for a device that exists.")
    return name


def _gpus() -> int:
    """The number of GPUs that PyTorch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _has_driver() -> bool:
    """Whether NVIDIA's driver sees a GPU. Asks the driver, because importing PyTorch takes seconds."""
    count = ctypes.c_int()
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        return not driver.cuInit(0) and not driver.cuDeviceGetCount(ctypes.byref(count)) and count.value > 0
    return False
