"""Encoders of the published code: imported exactly, by one command, without running code from the file."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18, resnet50

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_training.datasets.statistics import PUBLISHED
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.published import published_encoder, published_normaliser

Import = Callable[..., "subprocess.CompletedProcess[str]"]


class PublishedModel(nn.Module):
    """The form in which the published code saves an encoder: trunk `f`, projection head `g`."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.f = nn.Sequential(*[child for name, child in trunk.named_children() if name != "fc"])
        self.g = nn.Sequential(nn.Linear(2048, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(0)
    model = PublishedModel(resnet50()).train()
    with torch.no_grad():
        model.f(torch.randn(4, 3, 64, 64))  # so that the running statistics are not those of a fresh network
    return model.eval()


@pytest.fixture
def daco_import(forked: Path, tmp_path: Path) -> Import:
    def run(state: object, *options: object) -> "subprocess.CompletedProcess[str]":
        torch.save(state, tmp_path / "tokyo_daco_model.pth")
        command = [forked / "daco-train", "import", tmp_path / "tokyo_daco_model.pth", "--out", tmp_path / "encoder"]
        return subprocess.run([*command, *map(str, options)], capture_output=True, text=True, timeout=120)

    return run


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_an_imported_encoder_gives_the_published_descriptors(
    published: nn.Module, daco_import: Import, tmp_path: Path
) -> None:
    done = daco_import(published.state_dict(), "--data-name", "tokyo")
    assert done.returncode == 0, done.stderr
    encoder = Encoder.load(tmp_path / "encoder")
    assert encoder.config.mean == (0.334, 0.332, 0.320)
    assert encoder.config.std == (0.241, 0.237, 0.242)
    assert encoder.config.training == {"imported": "tokyo_daco_model.pth", "data_name": "tokyo"}
    images = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        expected = functional.normalize(published.f(images).flatten(1), dim=-1)
        torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=0)


def test_mean_and_deviation_can_be_given_instead_of_the_data_set(
    published: nn.Module, daco_import: Import, tmp_path: Path
) -> None:
    with pytest.raises(DacoError, match="paris: choose tokyo, cityscapes, synthia, or give --mean"):
        published_normaliser("paris")
    refused(daco_import({}, "--mean", 0.1, 0.2, 0.3), "--std")
    done = daco_import(published.state_dict(), "--mean", 0.1, 0.2, 0.3, "--std", 0.4, 0.5, 0.6)
    assert done.returncode == 0, done.stderr
    config = Encoder.load(tmp_path / "encoder").config
    assert (config.mean, config.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_other_files_are_rejected_with_the_wrong_keys(published: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "model.pth"

    def refused_for(state: object, match: str) -> None:
        torch.save(state, file)
        with pytest.raises(DacoError, match=match) as caught:
            published_encoder(file, PUBLISHED["tokyo"])
        assert "\n" not in str(caught.value)

    state = published.state_dict()
    last = "f.7.2.bn3.running_mean"
    refused_for({key: tensor for key, tensor in state.items() if key != last}, rf"lacks {last}\.")
    refused_for(PublishedModel(resnet18()).state_dict(), r"lacks f\.4\.0\.conv3\.weight, .* more")
    refused_for(resnet50().state_dict(), r"lacks f\.0\.weight")
    refused_for({**state, "f.6.6.conv1.weight": torch.ones(1)}, r"f\.6\.6\.conv1\.weight")
    refused_for({**state, "f.0.weight": torch.ones(1)}, r"shapes f\.0\.weight")
    refused_for([1, 2], "state dict")


def test_a_pickle_that_runs_code_is_rejected_and_not_executed(daco_import: Import, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (marker,)

    refused(daco_import({"f.0.weight": Runs()}, "--data-name", "tokyo"), "plain tensors")
    assert not marker.exists()


def test_a_folder_of_something_else_is_not_replaced_by_an_encoder(tmp_path: Path) -> None:
    (tmp_path / "photograph.jpg").touch()
    for place in (tmp_path, tmp_path / "photograph.jpg"):
        with pytest.raises(DacoError, match="contains other files than an encoder"):
            Encoder(EncoderConfig("test_resnet")).save(place)
    assert (tmp_path / "photograph.jpg").exists()


def test_an_unknown_subcommand_is_rejected(forked: Path) -> None:
    done = subprocess.run([forked / "daco-train", "improt"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "improt" in done.stderr
