"""Networks from torch.hub: indexed, served and evaluated like the project's own, and never run without consent."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.sources import load_encoder
from daco_training.loop.settings import TrainOptions

# the interface of MegaLoc: a module that gives L2-normalised (n, d), built in a file of its own. Each call draws other
# weights, so only what was saved can give the same descriptors again. It ties weights, and counts on contiguous maps.
HUBCONF = """
from pathlib import Path
dependencies = ["torch"]
(Path(__file__).parent / "ran").touch()
from {module} import Tiny

def get_trained_model():
    return Tiny()

def letters():
    return "abc"

def maps():
    return __import__("torch").nn.Conv2d(3, 4, 1)

def broken():
    raise KeyError("no such weights\\nsecond line")
"""
MODULE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 14, stride=14)
        self.mix = nn.Linear(8, 8)
        self.again = self.mix

    def forward(self, images):
        maps = self.patches(images)
        rows = maps.view(len(images), 8, -1).mean(-1)
        return nn.functional.normalize(self.again(self.mix(rows).relu()), dim=1)
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    module = f"tiny_{tmp_path.name}"  # Python would give a second folder's module for the first's of the same name
    (folder / "hubconf.py").write_text(HUBCONF.format(module=module))
    (folder / f"{module}.py").write_text(MODULE)
    return folder


@pytest.fixture
def source(hub: Path) -> str:
    return f"torchhub:{hub}:get_trained_model"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(5):
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((120, 90), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


def run(command: Path, *arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    words = [str(command), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=cwd, stdin=subprocess.DEVNULL)


def refused(done: "subprocess.CompletedProcess[str]", hub: Path) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "--trust" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (hub / "ran").exists(), "code of others ran without consent"


def test_without_consent_no_code_of_the_repository_runs(hub: Path, source: str, tmp_path: Path) -> None:
    with pytest.raises(DacoError, match=r"executes the code of .* --trust"):
        load_encoder(source)
    assert not (hub / "ran").exists()
    load_encoder(source, trust=True).save(tmp_path / "encoder")
    (hub / "ran").unlink()
    with pytest.raises(DacoError, match="--trust"):
        Encoder.load(tmp_path / "encoder")
    assert not (hub / "ran").exists()


def test_a_saved_third_party_network_gives_the_same_descriptors(source: str, tmp_path: Path) -> None:
    encoder = load_encoder(source, trust=True)
    assert encoder.dimension == 8
    images = torch.randn(3, 3, 28, 42)
    torch.testing.assert_close(encoder(images), encoder.backbone.network(images))
    encoder.save(tmp_path / "encoder")
    assert sorted(file.name for file in (tmp_path / "encoder").iterdir()) == [
        "encoder.json",
        "model.onnx",
        "model.safetensors",
    ]
    loaded = Encoder.load(tmp_path / "encoder", trust=True)
    torch.testing.assert_close(loaded(images), encoder(images), rtol=0, atol=0)
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.fingerprint != load_encoder(source, trust=True).fingerprint, "other weights, another fingerprint"


def test_a_relative_folder_is_found_from_another_working_directory(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hub.parent)
    encoder = load_encoder("torchhub:hub:get_trained_model", trust=True)
    encoder.save(tmp_path / "encoder")
    monkeypatch.chdir("/")
    Encoder.load(tmp_path / "encoder", trust=True)
    assert encoder.name == "torchhub:hub:get_trained_model", "strangers do not see where the folder is"


def test_a_repository_that_gives_no_encoder_is_reported_in_one_sentence(hub: Path) -> None:
    for name, match in (
        (f"{hub}:letters", "returns str"),
        (f"{hub}:maps", r"\(1, d\)"),
        (f"{hub}:broken", "KeyError: .no such weights"),
        (f"{hub}:nothing", "nothing"),
        (f"{hub.parent}:entry", "neither a folder with a hubconf.py"),
        ("somewhere:entry", "owner/name"),
        ("owner/name", "REPO:ENTRY"),
    ):
        with pytest.raises(DacoError, match=match) as caught:
            load_encoder(f"torchhub:{name}", trust=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(DacoError, match="cannot be trained"):
        TrainOptions(backbone=f"torchhub:{hub}:get_trained_model").resolve()


def test_a_github_name_is_never_taken_for_a_local_folder(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(torch.hub, "load", lambda *words, **options: asked.append((*words, options)))
    with pytest.raises(DacoError, match="NoneType"):
        Encoder(EncoderConfig("torchhub:owner/name:v1:get_model"), trust=True)
    assert asked == [("owner/name:v1", "get_model", {"trust_repo": True, "verbose": False})]


def test_a_third_party_encoder_can_be_indexed_searched_served_and_measured(
    hub: Path, source: str, photographs: Path, places: Path, commands: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    build = ("build", photographs, "--encoder", source, "--out", index)
    refused(run(commands / "daco-index", *build), hub)
    done = run(commands / "daco-index", *build, "--trust")
    assert done.returncode == 0, done.stderr
    (hub / "ran").unlink()

    # the index carries the network as ONNX, which is no code: no consent is needed, and none of it runs
    look = ("search", photographs / "3.png", "--index", index, "--json", "--device", "cpu")
    done = run(commands / "daco-index", *look)
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)["matches"][0]
    assert best["place"] == "3"
    assert best["similarity"] == pytest.approx(1.0, abs=1e-5)

    answer = ask_server(commands / "daco-serve", index, photographs / "2.png")
    assert answer["matches"][0]["place"] == "2"
    assert str(tmp_path) not in json.dumps(answer), "the answer names no path of the server"
    assert not (hub / "ran").exists(), "code of others ran without consent"

    recall = ("recall", "places", "--data-root", places, "--encoder", source, "--json")
    refused(run(commands / "daco-bench", *recall), hub)
    done = run(commands / "daco-bench", *recall, "--trust")
    assert done.returncode == 0, done.stderr
    assert {row["direction"] for row in json.loads(done.stdout)["rows"]} == {"a->b", "b->a", "a<->b"}


def ask_server(command: Path, index: Path, photograph: Path) -> dict[str, list[dict[str, object]]]:
    """What a server answers to a photograph."""
    process = subprocess.Popen(
        [sys.executable, command, "run", "--index", index, "--port", "0", "--device", "cpu"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        for _ in range(50):
            try:
                with photograph.open("rb") as stream:
                    return dict(httpx.post(f"{address}/v1/query", files={"image": stream}, timeout=30).json())
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the server does not answer")
    finally:
        process.terminate()
        process.communicate(timeout=30)
