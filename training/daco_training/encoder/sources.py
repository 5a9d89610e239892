"""Loads encoders by the names that command lines use: `default`, a folder, `timm:NAME`, or `torchhub:REPO:ENTRY`."""

from pathlib import Path

import timm

from daco_core.encoder.config import EncoderConfig, is_hub
from daco_core.encoder.preparation import Resize
from daco_core.encoder.stored import DEFAULT, SHIPPED, TIMM_PREFIX
from daco_core.errors import UsageError
from daco_training.encoder.backbones import IMAGENET, load_pretrained
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.torchhub import resolve

# square, and divisible by 14 and 16, the patch sizes of vision transformers; close to the usual 322 of DINOv2 models
HUB_IMAGE_SIZE = 336
TIMM_IMAGE_SIZE = 256


def load_encoder(
    source: str, trust: bool = False, image_size: int | None = None, resize: Resize | None = None
) -> Encoder:
    """Loads the encoder that a command line names, in evaluation mode.

    Args:
        source: `default`, the encoder that ships with the package; an encoder's folder; `timm:NAME`: that backbone with
            ImageNet weights and GeM pooling; or `torchhub:REPO:ENTRY`: what that entry of a torch.hub
            repository (owner/name on GitHub, or a local folder) returns, a module that maps (n, 3, h, w) images,
            normalised as for ImageNet, to (n, d).
        trust: consent to execute third-party code, which encoders from torch.hub require.
        image_size: pixels that images are resized to, for `timm:` and `torchhub:`; None for the usual size.
        resize: how images are resized to that size, for `torchhub:`; None for `square`.

    Raises:
        DacoError: there is no such encoder, it cannot be downloaded, or consent is missing.
    """
    if source == DEFAULT:
        return Encoder.load(SHIPPED)
    if is_hub(source):
        config = EncoderConfig(resolve(source), image_size=image_size or HUB_IMAGE_SIZE, resize=resize or "square")
        return Encoder(config, trust).eval()
    if source.startswith(TIMM_PREFIX):
        return imagenet_encoder(source.removeprefix(TIMM_PREFIX), image_size=image_size or TIMM_IMAGE_SIZE)
    return Encoder.load(Path(source), trust)


def imagenet_encoder(backbone: str, pooling: str = "gem", image_size: int = TIMM_IMAGE_SIZE) -> Encoder:
    """A backbone with its ImageNet weights and normalisation, without further training.

    Raises:
        DacoError: there is no such backbone or pooling, or its weights cannot be downloaded.
    """
    mean, std = imagenet_normaliser(backbone)
    encoder = Encoder(
        EncoderConfig(
            backbone=backbone,
            pooling=pooling,
            image_size=image_size,
            mean=mean,
            std=std,
            training={"pretrained": IMAGENET},
        )
    )
    load_pretrained(encoder.backbone, backbone, IMAGENET)
    return encoder.eval()


def imagenet_normaliser(backbone: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and std per RGB channel that a backbone's weights expect.

    Raises:
        DacoError: timm has no such weights.
    """
    try:
        config = timm.get_pretrained_cfg(backbone)
    except RuntimeError as error:
        raise UsageError(f"timm has no weights {backbone!r}: {error}") from error
    if config is None:
        return EncoderConfig.mean, EncoderConfig.std
    return _three(config.mean), _three(config.std)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
