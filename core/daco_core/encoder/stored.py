"""An encoder on disk: a folder with `encoder.json`, `model.safetensors` to train on and `model.onnx` to run."""

import filecmp
import hashlib
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from daco_core.encoder.config import (
    ONNX_PREFIX,
    EncoderConfig,
    parse_config,
    parse_dimension,
    parse_sha256,
    read_json,
)
from daco_core.encoder.weights import fingerprint, read_weights
from daco_core.errors import DamagedEncoder, NotFound
from daco_core.files import link_or_copy, recover

DEFAULT = "default"  # the name of the encoder that comes with the package
SHIPPED = Path(str(files("daco_core.encoder") / "shipped"))
TIMM_PREFIX = "timm:"

CONFIG_FILE = "encoder.json"
WEIGHTS_FILE = "model.safetensors"
NETWORK_FILE = "model.onnx"

DESCRIPTOR = "descriptor"  # the ONNX output (n, dimension), length 1
LOCAL = "local"  # (n, cells, 64), length 1
MAP_PREFIX = "map_"  # of the feature maps (n, c, h, w) that the pooling takes, fine to coarse


@dataclass(frozen=True)
class Network:
    """What `encoder.json` says of `model.onnx`.

    Args:
        sha256: of the file.
        output: the name of the descriptor among its outputs.
        outputs: the names of all.
    """

    sha256: str
    output: str
    outputs: tuple[str, ...]

    @property
    def maps(self) -> tuple[str, ...]:
        """The outputs that are feature maps, fine to coarse; none in a third-party network."""
        return tuple(sorted(name for name in self.outputs if name.startswith(MAP_PREFIX)))


@dataclass(frozen=True)
class StoredEncoder:
    """An encoder in its folder, verified.

    Args:
        network: of its ONNX file; None where it has none, so that only PyTorch can run it.
        trust: consent to execute third-party code, which a backbone from torch.hub needs in PyTorch.
    """

    folder: Path
    config: EncoderConfig
    dimension: int
    fingerprint: str
    network: Network | None
    trust: bool = False

    @property
    def name(self) -> str:
        """The backbone as strangers may read it, without a path of this machine."""
        return self.config.name

    @property
    def has_weights(self) -> bool:
        """Whether PyTorch can run and train it; not what is known by its ONNX file alone."""
        return not self.config.backbone.startswith(ONNX_PREFIX)

    @property
    def files(self) -> list[Path]:
        """What it consists of."""
        names = [CONFIG_FILE, *([WEIGHTS_FILE] if self.has_weights else []), *([NETWORK_FILE] if self.network else [])]
        return [self.folder / name for name in names]

    def read_network(self) -> bytes:
        """The bytes of `model.onnx`.

        Raises:
            DamagedEncoder: it cannot be read, or is not the file that `encoder.json` names.
        """
        file = self.folder / NETWORK_FILE
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DamagedEncoder(f"{file} cannot be read: {error.strerror or error}.") from error
        if self.network is None or hashlib.sha256(content).hexdigest() != self.network.sha256:
            raise DamagedEncoder(
                f"The encoder in {self.folder} is damaged: {file.name} is not the one that was written."
            )
        return content

    def copy_to(self, folder: Path, held: Path | None = None) -> None:
        """Copies its files into a new folder.

        Args:
            held: a folder whose files never change. Those of them that are equal are linked instead of copied, where
                the file system has hard links.

        Raises:
            OSError: a file cannot be read or written.
        """
        folder.mkdir(parents=True)
        for file in self.files:
            there = None if held is None else held / file.name
            if there is not None and there.is_file() and _are_equal(file, there):
                link_or_copy(there, folder / file.name)
            else:
                shutil.copyfile(file, folder / file.name)


def open_encoder(folder: Path, trust: bool = False) -> StoredEncoder:
    """The encoder in a folder, its description and weights verified; `read_network` verifies the ONNX file.

    Args:
        trust: consent to execute third-party code, if PyTorch is to run an encoder from torch.hub.

    Raises:
        NotFound: there is none.
        DamagedEncoder: it is damaged, its weights are not finite, or it is of a newer format.
    """
    config_file, weights_file, network_file = (folder / name for name in (CONFIG_FILE, WEIGHTS_FILE, NETWORK_FILE))
    recover(folder)
    _must_exist(config_file)
    content = read_json(config_file)
    config, network = parse_config(content, config_file), parse_network(content, config_file)
    dimension = parse_dimension(content, config_file)
    if network:
        _must_exist(network_file)
    if config.backbone.startswith(ONNX_PREFIX):
        if network is None:
            raise DamagedEncoder(
                f"{config_file} is damaged: it names {config.backbone}, but says nothing of {NETWORK_FILE}."
            )
        made_by = fingerprint(config, [(NETWORK_FILE, network.sha256.encode()), (network.output, b"")])
        return StoredEncoder(folder, config, dimension, made_by, network, trust)
    _must_exist(weights_file)
    try:
        tensors = list(read_weights(weights_file.read_bytes(), weights_file))
    except OSError as error:
        raise DamagedEncoder(f"{weights_file} cannot be read: {error.strerror or error}.") from error
    if broken := next((tensor.name for tensor in tensors if not tensor.is_finite), None):
        raise DamagedEncoder(
            f"The encoder in {folder} is broken: {broken} holds numbers that are not finite. Train it again."
        )
    made_by = fingerprint(config, ((tensor.name, tensor.widened()) for tensor in tensors))
    if made_by != content.get("fingerprint"):  # a third-party network may itself be in 16 bits
        made_by = fingerprint(config, ((tensor.name, tensor.content) for tensor in tensors))
    if made_by != content.get("fingerprint"):
        raise DamagedEncoder(
            f"The encoder in {folder} is damaged: its weights are not the ones that {CONFIG_FILE} names."
        )
    return StoredEncoder(folder, config, dimension, made_by, network, trust)


def parse_network(content: dict[str, Any], file: Path) -> Network | None:
    """What a description says of the ONNX file; None where it says nothing. Raises DamagedEncoder."""
    network = content.get("network")
    if network is None:
        return None
    if not isinstance(network, dict):
        raise DamagedEncoder(f"{file} is damaged: network must be an object.")
    output, outputs = network.get("descriptor", DESCRIPTOR), network.get("outputs", {})
    if not isinstance(output, str) or not isinstance(outputs, dict):
        raise DamagedEncoder(f"{file} is damaged: network does not name its outputs.")
    return Network(parse_sha256(network.get("sha256"), file, "network.sha256"), output, tuple(outputs))


def _are_equal(one: Path, other: Path) -> bool:
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def _must_exist(file: Path) -> None:
    if not file.is_file():
        raise NotFound(f"{file.parent} holds no encoder: {file.name} is missing. Train one with daco-train.")
