"""The encoder: backbone, pooling, learned whitening (if fitted) and L2 normalisation; and its files."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from daco_core.encoder.config import FORMAT_VERSION, EncoderConfig, is_hub
from daco_core.encoder.preparation import Preparation
from daco_core.encoder.stored import CONFIG_FILE, NETWORK_FILE, WEIGHTS_FILE, open_encoder
from daco_core.encoder.weights import fingerprint
from daco_core.errors import DacoError, DamagedEncoder, UsageError, reason_of
from daco_core.files import replace_folder
from daco_training.encoder.backbones import create_backbone, drop_unused, feature_maps
from daco_training.encoder.learned_whitening import LearnedWhitening
from daco_training.encoder.pooling import GridPooling, create_pooling
from daco_training.encoder.torchhub import HubBackbone

log = logging.getLogger(__name__)


class Encoder(nn.Module):
    """Computes descriptors: `backbone -> pooling -> learned whitening (if fitted) -> L2 normalisation`.

    Shape: (n, 3, h, w) normalised images to (n, dimension) descriptors of length 1.

    Args:
        trust: consent to execute third-party code, which a backbone from torch.hub requires.

    Raises:
        DacoError: the backbone or the pooling does not exist, or consent is missing.
    """

    def __init__(self, config: EncoderConfig, trust: bool = False) -> None:
        super().__init__()
        self.config = config
        if is_hub(config.backbone):
            self.backbone: nn.Module = HubBackbone(config.backbone, config.image_size, trust)
        else:
            self.backbone = create_backbone(config.backbone)
        self.pooling = create_pooling(config.pooling, self.backbone)
        self.whitening: LearnedWhitening | None = None
        if self.pooling.levels > 1:
            drop_unused(self.backbone, self.pooling.levels)

    @property
    def dimension(self) -> int:
        """The length of a descriptor."""
        return self.pooling.dimension

    @property
    def name(self) -> str:
        """The name of the backbone, without a path of this machine."""
        return self.config.name

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory layout of weights and images: channels last, the fastest, except for third-party networks."""
        return torch.contiguous_format if is_hub(self.config.backbone) else torch.channels_last

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps for the pooling: (n, 3, h, w) to maps (n, c, h', w'), fine to coarse."""
        return feature_maps(self.backbone, images, self.pooling.levels)

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, for a projection head: (n, 3, h, w) to (n, dimension)."""
        pooled: Tensor = self.pooling(self.feature_maps(images))
        return pooled

    def local(self, maps: Sequence[Tensor]) -> Tensor:
        """Local descriptors from the maps of `feature_maps`, row by row: (n, cells, width), of length 1.

        Raises:
            UsageError: the pooling has no local descriptors.
        """
        if not isinstance(self.pooling, GridPooling):
            raise UsageError("Only the pooling grid has local descriptors.")
        return self.pooling.local(maps)

    def forward(self, images: Tensor) -> Tensor:
        return self.descriptors(self.features(images))

    def descriptors(self, features: Tensor) -> Tensor:
        """Pooled features (n, dimension) to descriptors of length 1."""
        return functional.normalize(features if self.whitening is None else self.whitening(features), dim=-1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        directions = state_dict.get(f"{prefix}whitening.directions")
        # only some encoders have a learned whitening
        self.whitening = None if directions is None else LearnedWhitening(*directions.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def prepare(self, image: Image.Image) -> Tensor:
        """An RGB image as the tensor (3, h, w) that this encoder takes."""
        return torch.from_numpy(self.preparation(image))

    @cached_property
    def preparation(self) -> Preparation:
        """How an image is resized and normalised for this encoder."""
        return self.config.preparation

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, architecture and preparation: equal fingerprints give equal descriptors."""
        tensors = sorted(self.state_dict().items())
        return fingerprint(self.config, ((name, _bytes(tensor)) for name, tensor in tensors))

    def save(self, folder: Path, half: bool = False, network: bool = True) -> None:
        """Writes `encoder.json`, `model.safetensors` and `model.onnx`; an existing encoder is replaced atomically.

        Args:
            half: store the weights as float16, in half the space; those of this encoder are rounded in the same way.
            network: export `model.onnx`, which takes seconds. If the encoder cannot be exported, it is saved without
                that file, with a warning.

        Raises:
            DacoError: the folder contains something else, cannot be written, or the disk is full.
        """
        if folder.exists() and not (folder / CONFIG_FILE).is_file() and not (folder.is_dir() and _is_empty(folder)):
            raise UsageError(f"{folder} contains other files than an encoder: name another folder.")
        # cloned, because safetensors rejects weights that share memory, as some third-party networks have
        weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state_dict().items()}
        if half:
            weights = {name: _halved(tensor) for name, tensor in weights.items()}
            self.load_state_dict(weights)
        exported = _exported(self) if network else None
        content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            **asdict(self.config),
            "dimension": self.dimension,
            "fingerprint": self.fingerprint,
        }
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replace_folder(folder) as fresh:
                save_file(weights, fresh / WEIGHTS_FILE)
                (fresh / WEIGHTS_FILE).chmod(0o644)  # safetensors writes 0600, but a server may run as another user
                content["weights"] = {"sha256": hashlib.sha256((fresh / WEIGHTS_FILE).read_bytes()).hexdigest()}
                if exported:
                    onnx, described = exported
                    (fresh / NETWORK_FILE).write_bytes(onnx)
                    content["network"] = {"sha256": hashlib.sha256(onnx).hexdigest(), **described}
                (fresh / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
        except (OSError, SafetensorError) as error:
            raise DacoError(f"The encoder cannot be written to {folder}: {reason_of(error)}.") from error

    @classmethod
    def load(cls, folder: Path, trust: bool = False) -> "Encoder":
        """Loads the encoder saved in a folder, in evaluation mode.

        Args:
            trust: consent to execute third-party code, which encoders from torch.hub require.

        Raises:
            NotFound: the folder contains no encoder.
            DamagedEncoder: it is damaged or has a newer format.
            UsageError: consent is missing.
        """
        stored = open_encoder(folder)
        if not stored.has_weights:
            raise UsageError(f"Only the ONNX file of the network in {folder} is known, so PyTorch cannot run it.")
        try:
            encoder = cls(stored.config, trust)
            encoder.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise DamagedEncoder(f"The encoder in {folder} is damaged: {reason}") from error
        return encoder.eval()


def _exported(encoder: Encoder) -> tuple[bytes, dict[str, Any]] | None:
    """The encoder's ONNX file and its entry in `encoder.json`; None, with a warning, if it cannot be exported."""
    from daco_training.encoder.onnx_export import export_onnx

    try:
        exported = export_onnx(encoder)
    except DacoError as error:
        log.warning("%s It is saved without %s, so only PyTorch can run it.", error, NETWORK_FILE)
        return None
    return exported.content, exported.described


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None
