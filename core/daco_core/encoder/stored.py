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
from daco_core.errors import DamagedEncoder, NotFound, reason_of
from daco_core.files import link_or_copy, recover

DEFAULT = "default"  # the name of the encoder that ships with the package
SHIPPED = Path(str(files("daco_core.encoder") / "shipped"))
TIMM_PREFIX = "timm:"

CONFIG_FILE = "encoder.json"
WEIGHTS_FILE = "model.safetensors"
NETWORK_FILE = "model.onnx"

DESCRIPTOR = "descriptor"  # ONNX output, (n, dimension), of length 1
LOCAL = "local"  # ONNX output, (n, cells, 64), of length 1
MAP_PREFIX = "map_"  # ONNX outputs, (n, c, h, w): the feature maps that the pooling takes, fine to coarse


@dataclass(frozen=True)
class Network:
    """What `encoder.json` states about `model.onnx`.

    Args:
        sha256: the hash of the file.
        output: the name of the output that is the descriptor.
        outputs: the names of all outputs.
    """

    sha256: str
    output: str
    outputs: tuple[str, ...]

    @property
    def maps(self) -> tuple[str, ...]:
        """The outputs that are feature maps, from fine to coarse; none for a third-party network."""
        return tuple(sorted(name for name in self.outputs if name.startswith(MAP_PREFIX)))


@dataclass(frozen=True)
class StoredEncoder:
    """An encoder in its folder, whose files were verified.

    Args:
        network: its ONNX file; None if there is none, so that only PyTorch can run the encoder.
        trust: consent to execute third-party code, which PyTorch needs for a backbone from torch.hub.
    """

    folder: Path
    config: EncoderConfig
    dimension: int
    fingerprint: str
    network: Network | None
    trust: bool = False

    @property
    def name(self) -> str:
        """The backbone's name for publication: without a path of this machine."""
        return self.config.name

    @property
    def has_weights(self) -> bool:
        """Whether PyTorch can run and train it; false if only its ONNX file is known."""
        return not self.config.backbone.startswith(ONNX_PREFIX)

    @property
    def files(self) -> list[Path]:
        """Its files."""
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
            raise DamagedEncoder(f"{file} cannot be read: {reason_of(error)}.") from error
        if self.network is None or hashlib.sha256(content).hexdigest() != self.network.sha256:
            raise DamagedEncoder(
                f"The encoder in {self.folder} is damaged: {file.name} does not match its checksum in {CONFIG_FILE}."
            )
        return content

    def copy_to(self, folder: Path, held: Path | None = None) -> None:
        """Copies its files into a new folder.

        Args:
            held: a folder whose files never change. Files in it that are equal are linked instead of copied, if the
                file system has hard links.

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
    """Opens the encoder in a folder and verifies its config and weights; `read_network` verifies the ONNX file.

    Args:
        trust: consent to execute third-party code, if PyTorch is to run an encoder from torch.hub.

    Raises:
        NotFound: the folder holds no encoder.
        DamagedEncoder: it is damaged, its weights are not finite, or it has a newer format.
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
                f"{config_file} is damaged: it names {config.backbone}, but has no entry for {NETWORK_FILE}."
            )
        made_by = fingerprint(config, [(NETWORK_FILE, network.sha256.encode()), (network.output, b"")])
        return StoredEncoder(folder, config, dimension, made_by, network, trust)
    _must_exist(weights_file)
    try:
        tensors = list(read_weights(weights_file.read_bytes(), weights_file))
    except OSError as error:
        raise DamagedEncoder(f"{weights_file} cannot be read: {reason_of(error)}.") from error
    if broken := next((tensor.name for tensor in tensors if not tensor.is_finite), None):
        raise DamagedEncoder(
            f"The encoder in {folder} is broken: {broken} holds numbers that are not finite. Train it again."
        )
    made_by = fingerprint(config, ((tensor.name, tensor.widened()) for tensor in tensors))
    if made_by != content.get("fingerprint"):  # the weights of a third-party network may be in 16 bits
        made_by = fingerprint(config, ((tensor.name, tensor.content) for tensor in tensors))
    if made_by != content.get("fingerprint"):
        raise DamagedEncoder(
            f"The encoder in {folder} is damaged: its weights do not match the fingerprint in {CONFIG_FILE}."
        )
    return StoredEncoder(folder, config, dimension, made_by, network, trust)


def parse_network(content: dict[str, Any], file: Path) -> Network | None:
    """Parses the entry for the ONNX file; None if there is none. Raises DamagedEncoder."""
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
