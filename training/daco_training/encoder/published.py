"""Imports encoders that were trained by the published code."""

from pathlib import Path

from torch import Tensor

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError, UsageError
from daco_training.datasets.statistics import PUBLISHED, Channels
from daco_training.encoder.backbones import read_weights
from daco_training.encoder.encoder import Encoder

# the published code keeps a ResNet-50's children in an nn.Sequential, so their names are numbers
PLACES = {"conv1": "f.0", "bn1": "f.1", "layer1": "f.4", "layer2": "f.5", "layer3": "f.6", "layer4": "f.7"}
HEAD = "g."
COUNTER = "num_batches_tracked"  # a counter that does not affect descriptors; old files lack it


def published_encoder(file: Path, normaliser: tuple[Channels, Channels], data_name: str | None = None) -> Encoder:
    """The encoder in a `*_model.pth` of the published code, in evaluation mode; its projection head is left out.

    Args:
        file: a state dict with the keys `f.N...` of a ResNet-50's trunk, and those `g.N...` of the projection head.
        normaliser: mean and std per RGB channel used for its training.
        data_name: the data set used for its training, for people to read.

    Raises:
        DacoError: the file is missing, cannot be read safely, or is not such an encoder.
    """
    given = read_weights(file)
    mean, std = normaliser
    training = {"imported": file.name, **({"data_name": data_name} if data_name else {})}
    encoder = Encoder(EncoderConfig("resnet50", mean=mean, std=std, training=training))
    wanted = encoder.backbone.state_dict()
    _check(file, given, {_published_key(key): tensor for key, tensor in wanted.items()})
    encoder.backbone.load_state_dict({key: given.get(_published_key(key), own) for key, own in wanted.items()})
    return encoder.eval()


def published_normaliser(data_name: str) -> tuple[Channels, Channels]:
    """Mean and std in the published code for a data set.

    Raises:
        UsageError: there are none for this name.
    """
    if data_name not in PUBLISHED:
        raise UsageError(
            f"The published code has no mean and std for {data_name}: choose {', '.join(PUBLISHED)}, or give --mean"
            " and --std."
        )
    return PUBLISHED[data_name]


def _published_key(key: str) -> str:
    """`layer1.0.conv1.weight` to `f.4.0.conv1.weight`."""
    child, rest = key.split(".", 1)
    return f"{PLACES[child]}.{rest}"


def _check(file: Path, given: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    missing = [key for key in wanted if key not in given and not key.endswith(COUNTER)]
    unknown = [key for key in given if key not in wanted and not key.startswith(HEAD)]
    misshapen = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    for keys, complaint in (
        (missing, "lacks"),
        (unknown, "has, besides those of a ResNet-50,"),
        (misshapen, "has in other shapes"),
    ):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise DacoError(
                f"{file} is not an encoder of the published code: it {complaint} {', '.join(keys[:3])}{more}."
            )
