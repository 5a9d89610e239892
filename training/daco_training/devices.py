"""Selects the device of a command."""

from collections.abc import Sequence

import torch
from torch import Tensor

from daco_core.errors import UsageError


def check_gpus(gpu_ids: Sequence[int]) -> None:
    """Rejects GPUs that this machine does not have.

    Raises:
        DacoError: there is no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    absent = [gpu for gpu in gpu_ids if not 0 <= gpu < count]
    if absent:
        here = f"its GPUs are {', '.join(str(gpu) for gpu in range(count))}" if count else "PyTorch can use none"
        raise UsageError(f"This machine has no GPU {absent[0]}: {here}. Omit --gpu_ids to use the available device.")


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is a GPU if there is one, else the CPU; other names are PyTorch's, such as `cpu` or `cuda:1`.

    Raises:
        DacoError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"No device {name!r}: choose auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda":
        check_gpus([device.index or 0])
    return device


def send(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copies numbers, or rows of numbers, to a tensor on a device, without waiting for a GPU."""
    tensor = torch.tensor(values, dtype=dtype)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
