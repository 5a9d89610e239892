"""Encoders in OpenVINO's form: converted once, then kept in the user's cache."""

import hashlib
import logging
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daco_core.errors import DacoError
from daco_core.files import replace_folder
from daco_index.embedding.engines.openvino_runtime import openvino
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.torchhub import is_hub

log = logging.getLogger(__name__)

EXPORT_VERSION = 2  # to be raised with every change of what is exported
MODEL_FILE = "model.xml"
WEIGHTS_FILE = "model.bin"
HASH_FILE = "model.sha256"
INPUT = "images"
TOLERANCE = 1e-3  # of 1: by how much a feature map may differ from PyTorch's, relative to its length
CACHE_VARIABLE = "DACO_CACHE"


class NotExportable(DacoError):
    """An encoder whose backbone OpenVINO cannot run as PyTorch does."""


class _Backbone(nn.Module):
    """An encoder without its pooling: (n, 3, h, w) to the feature maps (n, c, h', w') that the pooling takes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder.feature_maps(images))


def exported_backbone(encoder: Encoder) -> Any:
    """An encoder's backbone as an OpenVINO model: (n, 3, h, w) to its feature maps (n, c, h', w').

    Pooling and norm stay with the encoder, in float32: the powers of GeM lose much in anything less. What was exported
    once is read from the cache, which any number of processes may fill at once.

    Raises:
        NotExportable: OpenVINO cannot run it as PyTorch does, for every shape that photographs may have.
    """
    folder = cache_folder() / "openvino" / _key(encoder)
    with suppress(OSError, RuntimeError):
        if sha256_of_model(folder) == (folder / HASH_FILE).read_text().strip():
            return openvino.Core().read_model(folder / MODEL_FILE)
    model = _export(encoder)
    try:
        _keep(model, folder)
    except (OSError, RuntimeError) as error:  # a full disk, or a home that is read-only, as in a container
        log.debug("The exported encoder cannot be kept in %s (%s).", folder, error)
    return model


def cache_folder() -> Path:
    """Where what can be made again is kept: DACO_CACHE, else `daco-serve` in the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daco-serve"


def save_model(model: Any, folder: Path) -> None:
    """Writes a model, its numbers as they are, into a folder. Raises OSError, RuntimeError."""
    openvino.save_model(model, folder / MODEL_FILE, compress_to_fp16=False)


def sha256_of_model(folder: Path) -> str:
    """Of a model's two files. Raises OSError."""
    digest = hashlib.sha256()
    for name in (MODEL_FILE, WEIGHTS_FILE):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _key(encoder: Encoder) -> str:
    code = "" if not is_hub(encoder.config.backbone) else f"-torch{torch.__version__}"
    return f"{encoder.fingerprint}-{EXPORT_VERSION}-openvino{openvino.get_version().split('-')[0]}{code}"


def _keep(model: Any, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replace_folder(folder) as fresh:  # one is there that is damaged, or of another process that was faster
        save_model(model, fresh)
        (fresh / HASH_FILE).write_text(sha256_of_model(fresh) + "\n")


def _export(encoder: Encoder) -> Any:
    backbone = _Backbone(encoder).eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing; what it gets wrong is seen below
            example = _examples(encoder)[0]
            wide = openvino.PartialShape([-1, 3, -1, -1] if _any_shape(encoder) else [-1, *example.shape[1:]])
            model = openvino.convert_model(backbone, example_input=example, input=[(INPUT, wide)])
            compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            for images in _examples(encoder):
                _compare(backbone, compiled, images)
    except NotExportable:
        raise
    except Exception as error:  # backbones, and code of others, can fail to be traced or converted in every way
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise NotExportable(f"OpenVINO cannot convert {encoder.name}: {type(error).__name__}: {reason}") from error
    return model


def _any_shape(encoder: Encoder) -> bool:
    return encoder.config.resize == "shorter"


def _examples(encoder: Encoder) -> list[Tensor]:
    """Two images of the shapes that the encoder takes; a wide one and a tall one where it takes any."""
    size = encoder.config.image_size
    longer = size * 4 // 3 if _any_shape(encoder) else size
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(number, 3, *sides, generator=generator)
        for number, sides in ((1, (size, longer)), (2, (longer, size)))
    ]


@torch.inference_mode()
def _compare(backbone: nn.Module, compiled: Any, images: Tensor) -> None:
    for expected, got in zip(backbone(images), compiled(images.numpy()).values(), strict=True):
        wanted = expected.numpy()
        if got.shape != wanted.shape or np.linalg.norm(got - wanted) > TOLERANCE * np.linalg.norm(wanted):
            height, width = images.shape[2:]
            raise NotExportable(f"OpenVINO makes something else than PyTorch of an image of {width} x {height} pixels.")
