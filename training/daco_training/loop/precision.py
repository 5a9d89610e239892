"""The number format for training."""

import torch
from torch import nn

from daco_core.errors import UsageError
from daco_training.encoder.backbones import create_backbone

# this project's names to Lightning's
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
AUTO = "auto"


def choose_precision(asked: str, backbone: str, device: str, frozen: bool = False) -> str:
    """Resolves `auto` to fp32 or bf16; other formats are returned unchanged.

    bf16 is chosen if the device supports it and is faster with it: GPUs with bf16; CPUs with AMX; and AMD CPUs with the
    bf16 instructions of AVX-512, if the network has no depthwise convolutions, or only forward passes through them. On
    Intel CPUs without AMX bf16 is slower than fp32 (measured: docs/reference/training-speed.md).

    Args:
        backbone: its name in timm.
        device: `cpu`, `cuda`, ...
        frozen: the backbone is not trained.

    Raises:
        DacoError: the device does not support the format, or there is no such backbone.
    """
    if asked == "fp16" and device != "cuda":
        raise UsageError("--precision fp16 needs a GPU: on a CPU, choose fp32 or bf16.")
    if asked != AUTO:
        return asked
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device != "cpu":
        return "fp32"
    abilities = torch.cpu.get_capabilities()
    amd = str(abilities.get("cpu_name", "")).startswith("AMD") and abilities.get("avx512_bf16", False)
    if amd and frozen:
        return "bf16"
    return "bf16" if (amd or abilities.get("amx_bf16", False)) and not has_depthwise(backbone) else "fp32"


def has_depthwise(backbone: str) -> bool:
    """Whether it has depthwise convolutions (a kernel for each channel), like EfficientNet and MobileNet."""
    with torch.device("meta"):
        network = create_backbone(backbone)
    return any(
        isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels for module in network.modules()
    )
