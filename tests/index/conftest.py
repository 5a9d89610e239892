"""Fixtures for the tests of the index: a tiny real encoder, photographs, a built index, the real command."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_index.build import BuildOptions, build_index
from daco_training.encoder.encoder import Encoder

Photographs = Callable[..., list[Path]]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(folder)
    return folder


@pytest.fixture(scope="session")
def photographs() -> Photographs:
    """Writes `count` pictures of coloured blocks, all different, into a folder."""

    def write(folder: Path, count: int, size: tuple[int, int] = (96, 72), suffix: str = ".png") -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number in range(count):
            blocks = np.random.default_rng([count, number]).integers(0, 255, (4, 5, 3), dtype=np.uint8)
            paths.append(folder / f"{number:03d}{suffix}")
            Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(paths[-1])
        return paths

    return write


@pytest.fixture(scope="session")
def built(
    encoder_folder: Path, photographs: Photographs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A folder of 12 photographs and the index of them: to be read, not changed."""
    root = tmp_path_factory.mktemp("built")
    photographs(root / "photographs", 12)
    build_index(str(root / "photographs"), str(encoder_folder), root / "index", BuildOptions(progress=False))
    return root / "photographs", root / "index"


@pytest.fixture
def own_index(built: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the index that a test may damage."""
    return Path(shutil.copytree(built[1], tmp_path / "own_index"))


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The words that start `daco-index`."""
    return [sys.executable, "-c", "from daco_index.cli.main import main; main()"]


@pytest.fixture(scope="session")
def daco_index(forked_without_pytorch: Path) -> Command:
    """Runs the real command in a process of its own, which is forked from one that has done the imports."""
    command = forked_without_pytorch / "daco-index"

    def run(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [command, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )

    return run
