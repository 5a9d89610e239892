"""Third-party networks as encoders: an ONNX file, `onnx:PATH`, with a manifest next to it.

The manifest has the file's name with `.json`, such as `net.json` for `net.onnx`:

    {"image_size": 224, "resize": "square", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
     "descriptor": "embeddings", "sha256": "..."}

`descriptor` names the output (1, dimension); the network must have one input (1, 3, h, w), float32, RGB, normalised.
"""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from daco_core.encoder.config import FORMAT_VERSION, ONNX_PREFIX, parse_config, parse_sha256, read_json
from daco_core.encoder.stored import CONFIG_FILE, NETWORK_FILE, StoredEncoder, open_encoder
from daco_core.errors import DamagedEncoder, NotFound, UsageError
from daco_core.files import replace_folder

FIELDS = ("image_size", "resize", "mean", "std")


def keep_network(source: str, keep_in: Path) -> StoredEncoder:
    """Loads the network that `onnx:PATH` names, tests it on two images, and stores it as a folder below `keep_in`.

    Raises:
        NotFound: there is no such file, or no manifest next to it.
        DamagedEncoder: the manifest is invalid, or the file does not have the hash that it states.
        UsageError: the network's output is not finite, or not one row of constant length.
        OSError: it cannot be stored.
    """
    file = Path(source.removeprefix(ONNX_PREFIX)).expanduser()
    manifest_file = file.with_suffix(".json")
    for needed in (file, manifest_file):
        if not needed.is_file():
            raise NotFound(f"There is no {needed}: {ONNX_PREFIX}PATH needs PATH and a manifest next to it.")
    manifest, content = read_json(manifest_file), file.read_bytes()
    if missing := [name for name in (*FIELDS, "descriptor", "sha256") if name not in manifest]:
        raise DamagedEncoder(f"{manifest_file} lacks {', '.join(missing)}.")
    form: dict[str, Any] = {name: manifest[name] for name in FIELDS}
    form = {"format_version": FORMAT_VERSION, "backbone": f"{ONNX_PREFIX}{file.name}", "pooling": "avg", **form}
    parse_config(form, manifest_file)
    sha256, output = parse_sha256(manifest["sha256"], manifest_file, "sha256"), manifest["descriptor"]
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedEncoder(f"{file} does not have the SHA-256 that {manifest_file.name} states.")
    if not isinstance(output, str):
        raise DamagedEncoder(f"{manifest_file} is damaged: descriptor must be the name of an output.")
    form["network"] = {"sha256": sha256, "descriptor": output, "outputs": {output: []}}
    with TemporaryDirectory() as trial:
        _write(Path(trial), form | {"dimension": 1}, content)
        form["dimension"] = _dimension(open_encoder(Path(trial)), source)
    folder = keep_in / f"onnx-{hashlib.sha256(json.dumps(form).encode()).hexdigest()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replace_folder(folder) as fresh:
        _write(fresh, form, content)
    return open_encoder(folder)


def _write(folder: Path, description: dict[str, Any], network: bytes) -> None:
    (folder / NETWORK_FILE).write_bytes(network)
    (folder / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n")


def _dimension(encoder: StoredEncoder, source: str) -> int:
    """The length of the descriptors that a network returns for two images.

    Raises:
        UsageError: it returns anything else than a row of finite numbers, or rows of different lengths.
    """
    from daco_core.encoder.openvino_runtime import openvino
    from daco_index.embedding.engines.openvino import whole_model

    try:
        compiled = openvino.Core().compile_model(whole_model(encoder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UsageError(f"{source} cannot be used as an encoder: OpenVINO cannot run it ({reason}).") from error
    noise = np.random.default_rng(0).integers(0, 256, (200, 96, 3), dtype=np.uint8)  # of another shape
    lengths = set()
    for image in (Image.new("RGB", (128, 96), "grey"), Image.fromarray(noise)):
        rows = compiled([encoder.config.preparation(image)[None]])[0]
        if rows.ndim != 2 or len(rows) != 1 or rows.dtype != np.float32:
            raise UsageError(f"{source} cannot be used as an encoder: its output is {rows.shape}, not one row (1, d).")
        if not np.isfinite(rows).all() or not rows.any():
            raise UsageError(f"{source} cannot be used as an encoder: its descriptors are not finite, or zero.")
        lengths.add(rows.shape[1])
    if len(lengths) > 1:
        raise UsageError(f"{source} cannot be used as an encoder: its descriptors have lengths {sorted(lengths)}.")
    return int(lengths.pop())
