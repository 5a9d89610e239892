"""Inputs for the tests of engines: pictures of several shapes, and a tiny encoder."""

import numpy as np
import torch
from PIL import Image

from daco_core.encoder.cache import cache_folder
from daco_core.encoder.config import EncoderConfig
from daco_core.encoder.stored import StoredEncoder, open_encoder
from daco_training.encoder.encoder import Encoder

SIZES = [(96, 72), (72, 96), (64, 64), (96, 72), (200, 70)]


def pictures() -> list[Image.Image]:
    """Coloured blocks of several shapes."""
    blocks = [np.random.default_rng(row).integers(0, 255, (4, 5, 3), dtype=np.uint8) for row in range(len(SIZES))]
    return [
        Image.fromarray(block).resize(size, Image.Resampling.BICUBIC) for block, size in zip(blocks, SIZES, strict=True)
    ]


def encoder(backbone: str = "test_resnet", pooling: str = "gem", **more: object) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(backbone=backbone, pooling=pooling, image_size=64, **more)).eval()


def stored(made: Encoder) -> StoredEncoder:
    """An encoder in its saved form, in the folder that the tests keep such things in."""
    folder = cache_folder() / "tests" / made.fingerprint
    if not folder.exists():
        made.save(folder)
    return open_encoder(folder)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    return (one * other).sum(axis=1)
