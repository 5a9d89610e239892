"""Index, server and recall work without PyTorch, and commands that need it name the missing package."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.photographs.locations import PhotoLocation, write_locations

# as in an environment that has none of these: a finder that does not find them
ABSENT = """
import os, sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in os.environ.get("ABSENT", "").split(",")
        return None if absent else super().find_spec(name, path, target)

sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""
OF_TRAINING = (
    "torch,torchvision,timm,lightning,lightning_fabric,pytorch_lightning,tensorboard,triton,onnx,safetensors"
    ",scipy,pandas,jinja2,matplotlib,pytest"
)
OF_EXTRAS = f"{OF_TRAINING},faiss,openvino,fastapi,starlette,uvicorn,fsspec,limits,prometheus_client,pythonjsonlogger"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, absent: str) -> dict[str, str]:
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(ABSENT)
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ABSENT": absent, "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def command(commands: Path, tmp_path: Path) -> Command:
    """Runs a command of ours where packages are absent."""

    def run(name: str, *words: object, absent: str = OF_TRAINING) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, commands / name, *map(str, words)]
        return subprocess.run(
            line, cwd=tmp_path, env=environment(tmp_path, absent), capture_output=True, text=True, timeout=120
        )

    return run


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders, `day` and a darker `night`, of the same 24 places, 50 m apart."""
    root = tmp_path_factory.mktemp("photographs")
    for name, gain in (("day", 1.0), ("night", 0.5)):
        (root / name).mkdir()
        locations = {}
        for number in range(24):
            blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3)) * gain
            file = f"{number}.jpg"
            Image.fromarray(blocks.astype(np.uint8)).resize((200, 160)).save(root / name / file)
            locations[file] = PhotoLocation(35.0 + number * 50 / 111195, 139.0, None)
        write_locations(root / name, locations)
    return root


def done(process: "subprocess.CompletedProcess[str]") -> str:
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture
def server(command: Command, commands: Path, photographs: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server of an index, both made without PyTorch; and calibrated."""
    done(command("daco-index", "build", photographs / "day", "--out", tmp_path / "map"))
    process = subprocess.Popen(
        [sys.executable, commands / "daco-serve", "run", "--index", tmp_path / "map", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path, OF_TRAINING),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    yield found[0]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


def test_an_index_is_built_searched_served_calibrated_and_measured_without_pytorch(
    server: str, command: Command, photographs: Path, tmp_path: Path
) -> None:
    query = photographs / "night" / "3.jpg"
    found = json.loads(done(command("daco-index", "search", query, "--index", tmp_path / "map", "--json")))
    assert found["matches"][0]["place"] == "3"
    answer = json.loads(done(command("daco-serve", "query", query, "--url", server, "--json")))
    assert answer[0]["matches"][0]["place"] == "3"
    calibrate = ("daco-bench", "calibrate", photographs / "night", "--index", tmp_path / "map", "--json")
    assert json.loads(done(command(*calibrate)))["count"] > 0
    folders = ("--database", photographs / "day", "--queries", photographs / "night")
    recall = json.loads(done(command("daco-bench", "recall", *folders, "--json")))
    assert recall["rows"][0]["queries"] == 24


def test_commands_that_need_pytorch_say_so_in_one_sentence(command: Command, photographs: Path, tmp_path: Path) -> None:
    for line in (
        ("daco-index", "build", photographs / "day", "--encoder", "timm:test_resnet", "--out", tmp_path / "map"),
        ("daco-train", "pack", tmp_path, "--out", tmp_path / "packed"),
    ):
        process = command(*line)
        assert process.returncode == 1
        assert "daco-serve[train]" in process.stderr
        assert len(process.stderr.strip().splitlines()) == 1, process.stderr


def test_without_extras_every_command_prints_help_and_names_the_extra_that_it_needs(
    command: Command, photographs: Path, tmp_path: Path
) -> None:
    for name in ("daco-index", "daco-serve", "daco-bench", "daco-train", "daco-data"):
        assert "Usage" in done(command(name, "--help", absent=OF_EXTRAS))
    for line in (
        ("daco-index", "build", photographs / "day", "--out", tmp_path / "map"),
        ("daco-serve", "run", "--index", tmp_path / "map"),
    ):
        process = command(*line, absent=OF_EXTRAS)
        assert process.returncode == 1
        assert "pip install 'daco-serve[cpu]'" in process.stderr
        assert len(process.stderr.strip().splitlines()) == 1, process.stderr


def test_the_client_can_be_imported_without_the_packages_of_a_server(command: Command, tmp_path: Path) -> None:
    code = "import sys; from daco_serve import Client, AsyncClient; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path, OF_EXTRAS), capture_output=True, text=True, timeout=60
    )
    modules = {name.partition(".")[0] for name in done(process).split()}
    assert not modules & {*OF_EXTRAS.split(","), "numpy", "PIL", "typer"}
