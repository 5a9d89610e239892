"""An encoder, photographs and indexes with local descriptors, for the tests of index and server."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_training.encoder.encoder import Encoder


def save_grid_encoder(folder: Path) -> Path:
    """An encoder with local descriptors, 8 x 8 of them."""
    torch.manual_seed(0)
    config = EncoderConfig(backbone="test_resnet", pooling="grid", image_size=128, resize="square")
    Encoder(config).eval().save(folder)
    return folder


def draw_streets(folder: Path, count: int = 8) -> Path:
    """Pictures of coloured blocks, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        blocks = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((128, 128), Image.Resampling.NEAREST).save(folder / f"{number:03d}.png")
    return folder
