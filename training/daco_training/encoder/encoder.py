"""The encoder: backbone, pooling, L2 norm; and its saved form."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from daco_core.encoder.preparation import Preparation, Resize
from daco_core.errors import DacoError, DamagedEncoder, NotFound, UsageError
from daco_training.encoder.backbones import create_backbone, drop_unused, feature_maps
from daco_training.encoder.pooling import GridPooling, create_pooling
from daco_training.encoder.torchhub import HubBackbone, is_hub, public_name

FORMAT_VERSION = 1
CONFIG_FILE = "encoder.json"
WEIGHTS_FILE = "model.safetensors"
FORM = ("backbone", "pooling", "image_size", "resize", "mean", "std")  # of a config, what changes a descriptor


@dataclass(frozen=True)
class EncoderConfig:
    """All that makes an encoder besides its weights, as `encoder.json` holds it.

    Args:
        backbone: `resnet50`, `resnet18`, or any timm model by name; or `torchhub:REPO:ENTRY`, a whole network of
            others.
        pooling: `avg` (published; leaves the descriptor of a network of others as it is), `gem` or `grid`.
        image_size: pixels; with `resize` the rule that every image is brought to.
        resize: `shorter` (shorter side to `image_size`, published) or `square`.
        mean, std: the normaliser, per RGB channel, for values in 0..1.
        training: how the encoder was trained, for people; empty if it was not.
        recall: its validation recall, `{"a->b": {"1": 0.69, ...}, ...}` as fractions; empty if unknown.
    """

    backbone: str = "resnet50"
    pooling: str = "avg"
    image_size: int = 256
    resize: Resize = "shorter"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    training: dict[str, Any] = field(default_factory=dict)
    recall: dict[str, dict[str, float]] = field(default_factory=dict)


class Encoder(nn.Module):
    """Photograph to descriptor: `backbone -> pooling -> L2 norm`.

    Shape: (n, 3, h, w) normalised images to (n, dimension) descriptors of length 1.

    Args:
        trust: consent to running the code of others, which a backbone from torch.hub takes.

    Raises:
        DacoError: the backbone or the pooling is not known, or there is no consent.
    """

    def __init__(self, config: EncoderConfig, trust: bool = False) -> None:
        super().__init__()
        self.config = config
        if is_hub(config.backbone):
            self.backbone: nn.Module = HubBackbone(config.backbone, config.image_size, trust)
        else:
            self.backbone = create_backbone(config.backbone)
        self.pooling = create_pooling(config.pooling, self.backbone)
        if self.pooling.levels > 1:
            drop_unused(self.backbone, self.pooling.levels)

    @property
    def dimension(self) -> int:
        """The length of a descriptor."""
        return self.pooling.dimension

    @property
    def name(self) -> str:
        """The backbone as strangers may read it, without a path of this machine."""
        backbone = self.config.backbone
        return public_name(backbone) if is_hub(backbone) else backbone

    @property
    def memory_format(self) -> torch.memory_format:
        """How weights and images lie in memory: as is fastest; but code of others may count on the usual order."""
        return torch.contiguous_format if is_hub(self.config.backbone) else torch.channels_last

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What the pooling takes of the backbone: (n, 3, h, w) to maps (n, c, h', w')."""
        return feature_maps(self.backbone, images, self.pooling.levels)

    def features(self, images: Tensor) -> Tensor:
        """Pooled features before the L2 norm, what a projection head takes: (n, 3, h, w) to (n, dimension)."""
        pooled: Tensor = self.pooling(self.feature_maps(images))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.features(images), dim=-1)

    def prepare(self, image: Image.Image) -> Tensor:
        """An RGB image as the tensor (3, h, w) that this encoder takes."""
        return torch.from_numpy(self.preparation(image))

    @cached_property
    def preparation(self) -> Preparation:
        """How an image is brought into the form that this encoder takes."""
        return Preparation(self.config.image_size, self.config.resize, self.config.mean, self.config.std)

    @property
    def local_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the local descriptors; None where the pooling has none, or shapes of images differ."""
        if not isinstance(self.pooling, GridPooling) or self.config.resize != "square":
            return None
        side = -(-self.config.image_size // 16)
        return side, side

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything of ours that changes a descriptor: equal fingerprints give equal descriptors.

        Of a network from torch.hub its weights and its name count, but not its code, which others may change.
        """
        digest = hashlib.sha256()
        for name in FORM:
            digest.update(f"{name}={getattr(self.config, name)!r};".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def save(self, folder: Path, half: bool = False) -> None:
        """Writes `encoder.json` and `model.safetensors`; replaces an encoder that was there once this one is whole.

        Args:
            half: keeps the weights as float16, in half the space; this encoder's own are rounded to them.

        Raises:
            DacoError: the folder holds something else, or cannot be written, or the disk is full.
        """
        if folder.exists() and not (folder / CONFIG_FILE).is_file() and not (folder.is_dir() and _is_empty(folder)):
            raise UsageError(f"{folder} holds something else than an encoder, so none is saved there: name another.")
        fresh = folder.with_name(f".{folder.name}.new")
        old = folder.with_name(f".{folder.name}.old")
        try:
            for leftover in (fresh, old):
                shutil.rmtree(leftover, ignore_errors=True)
            fresh.mkdir(parents=True)
            # cloned, as safetensors refuses weights that share memory, and networks of others may tie theirs
            weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state_dict().items()}
            if half:
                weights = {name: _halved(tensor) for name, tensor in weights.items()}
                self.load_state_dict(weights)
            save_file(weights, fresh / WEIGHTS_FILE)
            (fresh / WEIGHTS_FILE).chmod(0o644)  # safetensors writes 0600; a server may run as another user
            content = {
                "format_version": FORMAT_VERSION,
                **asdict(self.config),
                "dimension": self.dimension,
                "fingerprint": self.fingerprint,
            }
            (fresh / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise DacoError(f"The encoder cannot be written to {folder}: {error}") from error

    @classmethod
    def load(cls, folder: Path, trust: bool = False) -> "Encoder":
        """The encoder saved in a folder, in evaluation mode.

        Args:
            trust: consent to running the code of others, without which an encoder from torch.hub is refused.

        Raises:
            NotFound: there is none.
            DamagedEncoder: it is damaged or of a newer format.
            UsageError: there is no consent.
        """
        config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
        for file in (config_file, weights_file):
            if not file.is_file():
                raise NotFound(f"{folder} holds no encoder: {file.name} is missing. Train one with daco-train.")
        try:
            content = json.loads(config_file.read_text())
            version = content["format_version"]
            if version > FORMAT_VERSION:
                raise DamagedEncoder(
                    f"{config_file} is of format {version}; this daco-serve reads up to {FORMAT_VERSION}."
                )
            known = {item.name for item in fields(EncoderConfig)}
            values = {name: value for name, value in content.items() if name in known}
            config = EncoderConfig(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
            encoder = cls(config, trust)
            encoder.load_state_dict(load_file(weights_file))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DamagedEncoder(f"The encoder in {folder} is damaged: {error}") from error
        if encoder.fingerprint != content.get("fingerprint"):
            raise DamagedEncoder(
                f"The encoder in {folder} is damaged: its weights are not the ones that {CONFIG_FILE} names."
            )
        return encoder.eval()


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None
