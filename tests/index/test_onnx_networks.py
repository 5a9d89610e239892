"""Third-party networks as ONNX files are encoders, and are rejected if they are not suitable."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, DamagedEncoder, NotFound, UsageError
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.engines.create import create_engine
from daco_index.search.bundle import Bundle
from daco_training.cli.train import app

from .conftest import Photographs
from .pictures import encoder, pictures, stored


def network(folder: Path, scale: float = 1.0, dynamic: bool = False) -> Path:
    """A network that gives the means of the three colours over the quarters of a picture, times a number."""
    folder.mkdir(exist_ok=True)
    shape = ["n", 3, "h", "w"] if dynamic else [1, 3, 32, 32]
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [shape[0], None])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "means.onnx")
    manifest(folder / "means.onnx")
    return folder / "means.onnx"


def manifest(file: Path, **other: object) -> None:
    content = {"image_size": 32, "resize": "square", "mean": [0.5] * 3, "std": [0.25] * 3, "descriptor": "embeddings"}
    content |= {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **other}
    file.with_suffix(".json").write_text(json.dumps(content))


def test_an_index_is_built_with_an_onnx_network_and_contains_it(tmp_path: Path, photographs: Photographs) -> None:
    file = network(tmp_path / "net", scale=7.0)
    photographs(tmp_path / "photographs", 4)
    options = BuildOptions(progress=False, device="cpu")
    build_index(str(tmp_path / "photographs"), f"onnx:{file}", tmp_path / "index", options)
    file.unlink()
    bundle = Bundle.open(tmp_path / "index")
    assert bundle.encoder.dimension == 12 and bundle.manifest.backbone == "onnx:means.onnx"
    rows = create_engine(bundle.encoder, "cpu").embed(pictures())
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert bundle.search(rows[:1], 1)[0][0].entry.path


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"sha256": "0" * 64}, DamagedEncoder, "does not have the SHA-256"),
        ({"image_size": 60000}, DamagedEncoder, "image_size must be"),
        ({"std": [0, 1, 1]}, DamagedEncoder, "std must be three positive"),
        ({"descriptor": ["embeddings"]}, DamagedEncoder, "descriptor must be the name"),
        ({"descriptor": "nothing"}, UsageError, "cannot be used as an encoder"),
    ],
)
def test_an_invalid_manifest_is_reported_in_one_sentence(
    change: dict[str, object], error: type[DacoError], sentence: str, tmp_path: Path
) -> None:
    file = network(tmp_path / "net")
    manifest(file, **change)
    with pytest.raises(error, match=sentence) as caught:
        find_encoder(f"onnx:{file}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0])
def test_a_network_whose_output_is_not_finite_is_rejected(scale: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not finite, or zero"):
        find_encoder(f"onnx:{network(tmp_path / 'net', scale)}")


def test_a_network_with_outputs_of_several_lengths_is_rejected(tmp_path: Path) -> None:
    file = network(tmp_path / "net", dynamic=True)
    manifest(file, resize="shorter")
    with pytest.raises(UsageError, match=r"have lengths \[12, 24\]"):
        find_encoder(f"onnx:{file}")


def test_another_image_size_gives_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    file = network(tmp_path / "net", dynamic=True)
    for size, dimension in ((32, 12), (48, 27), (32, 12)):
        manifest(file, image_size=size)
        assert create_engine(find_encoder(f"onnx:{file}"), "cpu").embed(pictures()).shape[1] == dimension


def test_a_file_or_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    file = network(tmp_path / "net")
    file.with_suffix(".json").unlink()
    with pytest.raises(NotFound, match=r"means\.json"):
        find_encoder(f"onnx:{file}")


def test_an_exported_encoder_gives_the_same_descriptors(tmp_path: Path) -> None:
    ours = stored(encoder("test_resnet", "grid", resize="square"))
    done = CliRunner().invoke(app, ["export", str(ours.folder), "--onnx", str(tmp_path / "ours.onnx")])
    assert done.exit_code == 0, done.output
    theirs = find_encoder(f"onnx:{tmp_path / 'ours.onnx'}")
    assert theirs.dimension == ours.dimension and not theirs.has_weights
    assert open_encoder(theirs.folder).fingerprint == theirs.fingerprint != ours.fingerprint
    rows = [create_engine(one, "cpu").embed(pictures()) for one in (ours, theirs)]
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-5)
