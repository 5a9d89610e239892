"""Encoders by the way they are named on a command line: a saved folder, or `timm:NAME`."""

from pathlib import Path

import timm

from training.backbones import IMAGENET, load_pretrained
from training.encoder import Encoder, EncoderConfig

TIMM_PREFIX = "timm:"


def load_encoder(source: str) -> Encoder:
    """The encoder that a command line names, in evaluation mode.

    Args:
        source: a folder in our saved form, or `timm:NAME`: that backbone as ImageNet leaves it, GeM pooling.

    Raises:
        DacoError: there is no such encoder, or it cannot be had.
    """
    if not source.startswith(TIMM_PREFIX):
        return Encoder.load(Path(source))
    return imagenet_encoder(source.removeprefix(TIMM_PREFIX))


def imagenet_encoder(backbone: str, pooling: str = "gem", image_size: int = 256) -> Encoder:
    """A backbone with its ImageNet weights and normaliser, untrained by us.

    Raises:
        DacoError: no such backbone or pooling, or its weights cannot be had.
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
    """Mean and std per RGB channel that a backbone's own weights expect."""
    config = timm.get_pretrained_cfg(backbone)
    if config is None:
        return EncoderConfig.mean, EncoderConfig.std
    return _three(config.mean), _three(config.std)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
