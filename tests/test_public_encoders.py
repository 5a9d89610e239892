"""Public encoders by name: short names, torch.hub entries with arguments, the Hugging Face Hub; cached once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from daco_core.encoder.config import EncoderConfig
from daco_core.encoder.public import PUBLIC_ENCODERS, PublicEncoder
from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, NotFound, UsageError
from daco_index.cli.main import app
from daco_index.embedding import encoders
from daco_index.embedding.encoders import find_encoder, save_encoder
from daco_index.embedding.engines.create import create_engine
from daco_training.encoder.encoder import Encoder

# as BoQ: an entry with arguments, and a network that gives its attention maps after the descriptor
HUBCONF = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, 14, stride=14)

    def forward(self, images):
        maps = self.patches(images)
        return nn.functional.normalize(maps.mean(dim=(2, 3)), dim=1), [maps]

def get_trained_tiny(backbone_name="none", output_dim=4):
    if backbone_name != "dinov2":
        raise ValueError(f"backbone_name should be dinov2, not {backbone_name}")
    torch.manual_seed(output_dim)
    return Tiny(output_dim)
"""
TINY = PublicEncoder(
    "tiny", "someone/tiny:main", "get_trained_tiny?backbone_name=dinov2&output_dim=6", 6, 1, 42, "square", "MIT", "-"
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of torch.hub that holds a repository already, as after its download; an empty cache of ours."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(PUBLIC_ENCODERS, "tiny", TINY)
    folder = tmp_path / "torch" / "hub" / "someone_tiny_main"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


def test_a_short_name_selects_a_hub_entry_with_arguments_and_needs_consent_once(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"executes the code of someone/tiny:main .* --trust"):
        find_encoder("tiny")
    made = find_encoder("tiny", trust=True)
    assert (made.dimension, made.config.image_size, made.config.resize) == (6, 42, "square")
    assert made.name == TINY.source and made.network is not None
    # what was exported runs without the repository, without PyTorch and without consent
    shutil.rmtree(hub)
    monkeypatch.setattr(encoders, "pytorch", lambda why: pytest.fail("PyTorch was asked for"))
    again = find_encoder("tiny")
    assert again.fingerprint == made.fingerprint
    vectors = create_engine(again, "cpu").embed([Image.new("RGB", (60, 50), color) for color in ("red", "blue")])
    assert vectors.shape == (2, 6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_image_size_of_a_third_party_network_can_be_chosen(hub: Path) -> None:
    assert find_encoder("tiny", True, 28).config.image_size == 28
    assert find_encoder("tiny", True).config.image_size == 42
    assert find_encoder("torchhub:someone/tiny:main:get_trained_tiny?backbone_name=dinov2", True, 56).dimension == 4
    with pytest.raises(UsageError, match="fixed image size"):
        find_encoder("default", image_size=64)


def test_wrong_arguments_are_reported_in_one_sentence(hub: Path) -> None:
    with pytest.raises(DacoError, match="backbone_name should be dinov2, not vgg"):
        find_encoder("torchhub:someone/tiny:main:get_trained_tiny?backbone_name=vgg", True)
    with pytest.raises(UsageError, match=r"ENTRY\?ARGUMENT=VALUE"):
        find_encoder("torchhub:someone/tiny:main:get_trained_tiny?backbone_name", True)


def test_a_saved_encoder_needs_no_network_and_no_consent(hub: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["encoders", "tiny", "--save", str(tmp_path / "saved"), "--trust"])
    assert done.exit_code == 0, done.output
    assert find_encoder(str(tmp_path / "saved")).fingerprint == find_encoder("tiny").fingerprint
    with pytest.raises(UsageError, match="exists"):
        save_encoder("tiny", tmp_path / "saved")


def test_the_table_shows_size_licence_and_input_of_each_encoder() -> None:
    done = CliRunner().invoke(app, ["encoders", "--json"])
    listed = {encoder["name"]: encoder for encoder in json.loads(done.stdout)}
    assert {"megaloc", "eigenplaces", "cosplace", "boq", "salad"} <= set(listed)
    assert listed["megaloc"]["source"] == "torchhub:gmberton/MegaLoc:get_trained_model"
    assert all(encoder["licence"] and encoder["megabytes"] > 0 for encoder in listed.values())
    shown = CliRunner().invoke(app, ["encoders"]).stdout
    assert all(name in shown for name in listed)


@pytest.fixture
def face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's cache with one revision of one repository, as after its download; no network."""
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--someone--places"
    commit = "0123456789abcdef" * 2 + "01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit
    folder.parent.mkdir()
    torch.manual_seed(0)
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(folder)
    return folder


def test_an_encoder_of_the_hugging_face_hub_is_loaded_from_the_cache(
    face: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = find_encoder("hf:someone/places")
    assert found.fingerprint == open_encoder(face).fingerprint and found.network is not None
    assert f"is at revision {face.name}" in caplog.text
    caplog.clear()
    assert find_encoder(f"hf:someone/places@{face.name}").fingerprint == found.fingerprint
    assert not caplog.text


def test_an_onnx_file_with_a_manifest_on_the_hub_is_an_encoder(face: Path) -> None:
    described = json.loads((face / "encoder.json").read_text())
    manifest = {name: described[name] for name in ("image_size", "resize", "mean", "std")}
    manifest |= {"descriptor": described["network"]["descriptor"], "sha256": described["network"]["sha256"]}
    (face / "model.json").write_text(json.dumps(manifest))
    (face / "encoder.json").unlink()
    found = find_encoder("hf:someone/places")
    assert found.name == "onnx:model.onnx" and found.dimension == described["dimension"]


def test_a_repository_or_revision_that_the_hub_lacks_is_reported(face: Path) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        find_encoder("hf:places")
    with pytest.raises(DacoError, match="not in the Hub's cache"):
        find_encoder("hf:someone/others")
    (face / "encoder.json").unlink()
    with pytest.raises(NotFound, match="contains no encoder"):
        find_encoder("hf:someone/places")
