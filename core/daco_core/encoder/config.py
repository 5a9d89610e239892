"""The contents of `encoder.json`. Every field is checked, because the file may come from an untrusted source."""

import json
import math
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from daco_core.encoder.preparation import Preparation, Resize
from daco_core.errors import DamagedEncoder, reason_of

FORMAT_VERSION = 1
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 8, 2048  # pixels
MAX_DIMENSION = 65_536
MAX_CONFIG_BYTES = 4 << 20
HUB_PREFIX = "torchhub:"
ONNX_PREFIX = "onnx:"
HUGGING_FACE_PREFIX = "hf:"
LOCAL_STRIDE = 16  # pixels of the input between two local descriptors, horizontally and vertically

Three = tuple[float, float, float]


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that defines an encoder, except its weights.

    Args:
        backbone: `resnet50`, `resnet18`, or the name of any timm model; `torchhub:REPO:ENTRY`, a third-party network;
            or `onnx:NAME`, a network of which only the ONNX file is known.
        pooling: `avg` (published; keeps the descriptor of a third-party network unchanged), `gem` or `grid`.
        image_size: the size of the input in pixels; see `resize`.
        resize: `shorter` scales the shorter side to `image_size` (published); `square` resizes to a square.
        mean, std: per RGB channel, to normalise values in 0..1.
        training: how the encoder was trained, for people to read; empty if it was not trained.
        recall: its validation recall as fractions, `{"a->b": {"1": 0.69, ...}, ...}`; empty if unknown.
    """

    backbone: str = "resnet50"
    pooling: str = "avg"
    image_size: int = 256
    resize: Resize = "shorter"
    mean: Three = (0.485, 0.456, 0.406)
    std: Three = (0.229, 0.224, 0.225)
    training: dict[str, Any] = field(default_factory=dict)
    recall: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The backbone's name for publication: without a path of this machine."""
        return public_name(self.backbone) if is_hub(self.backbone) else self.backbone

    @property
    def preparation(self) -> Preparation:
        """How an image is prepared for the encoder."""
        return Preparation(self.image_size, self.resize, self.mean, self.std)

    @property
    def local_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the local descriptors; None if the pooling has none, or if image shapes differ."""
        if self.pooling not in ("grid", "place") or self.resize != "square":
            return None
        side = math.ceil(self.image_size / LOCAL_STRIDE)
        return side, side


FORM = ("backbone", "pooling", "image_size", "resize", "mean", "std")  # the fields that affect a descriptor


def is_hub(backbone: str) -> bool:
    """Whether a backbone comes from torch.hub and thus executes third-party code."""
    return backbone.startswith(HUB_PREFIX)


def public_name(source: str) -> str:
    """A `torchhub:` source for publication: a local folder is replaced by its name."""
    repository, _, entry = source.removeprefix(HUB_PREFIX).rpartition(":")
    return f"{HUB_PREFIX}{Path(repository).name}:{entry}" if Path(repository).is_absolute() else source


def read_json(file: Path) -> dict[str, Any]:
    """Reads the JSON object in `encoder.json`.

    Raises:
        DamagedEncoder: it cannot be read, is too large, or is not a JSON object.
    """
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise DamagedEncoder(f"{file} is larger than {MAX_CONFIG_BYTES >> 20} MiB, the limit for this file.")
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise DamagedEncoder(f"{file} cannot be read: {reason_of(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise DamagedEncoder(
            f"{file} is damaged: it is not JSON ({str(error)[:80] or 'nested too deeply'})."
        ) from error
    if not isinstance(content, dict):
        raise DamagedEncoder(f"{file} is damaged: it is not a JSON object.")
    return content


def parse_config(content: dict[str, Any], file: Path) -> EncoderConfig:
    """Parses the contents of `encoder.json`. Missing fields get their defaults; unknown ones are ignored.

    Raises:
        DamagedEncoder: it has a newer format, or a field is invalid; the message names the field.
    """
    version = content.get("format_version")
    if not _is_integer(version) or version < 1:
        raise _wrong(file, "format_version", "a whole number from 1", version)
    if version > FORMAT_VERSION:
        raise DamagedEncoder(
            f"{file} has format {version}; this daco-serve reads formats up to {FORMAT_VERSION}: update daco-serve."
        )
    known = {item.name for item in fields(EncoderConfig)}
    values = {name: value for name, value in content.items() if name in known}
    for name in ("backbone", "pooling"):
        value = values.get(name, "")
        if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
            raise _wrong(file, name, "a name", value)
    size = values.get("image_size", MIN_IMAGE_SIZE)
    if not _is_integer(size) or not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
        raise _wrong(file, "image_size", f"a whole number of pixels from {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}", size)
    if values.get("resize", "square") not in ("shorter", "square"):
        raise _wrong(file, "resize", "shorter or square", values["resize"])
    for name in ("mean", "std"):
        if name in values:
            values[name] = _three(file, name, values[name])
    for name in ("training", "recall"):
        if not isinstance(values.get(name, {}), dict):
            raise _wrong(file, name, "an object", values[name])
    return EncoderConfig(**values)


def parse_dimension(content: dict[str, Any], file: Path) -> int:
    """The length of a descriptor, as `encoder.json` states it. Raises DamagedEncoder."""
    dimension = content.get("dimension")
    if not _is_integer(dimension) or not 1 <= dimension <= MAX_DIMENSION:
        raise _wrong(file, "dimension", f"a whole number from 1 to {MAX_DIMENSION}", dimension)
    return dimension


def parse_sha256(value: object, file: Path, name: str) -> str:
    """A SHA-256 in hexadecimal. Raises DamagedEncoder."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise _wrong(file, name, "a SHA-256 in hexadecimal", value)
    return value


def _three(file: Path, name: str, value: object) -> Three:
    if isinstance(value, list) and len(value) == 3 and all(map(_is_number, value)):
        red, green, blue = value
        if name != "std" or min(value) > 0:
            return red, green, blue
    raise _wrong(file, name, f"three {'positive ' if name == 'std' else ''}numbers, one a colour channel", value)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    # not `math.isfinite`, which raises an error for an integer that is too large for a float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _wrong(file: Path, name: str, wanted: str, value: object) -> DamagedEncoder:
    shown = json.dumps(value)
    return DamagedEncoder(
        f"{file} is damaged: {name} must be {wanted}, not {shown[:60]}{'...' if len(shown) > 60 else ''}."
    )
