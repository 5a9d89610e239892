"""Shared fixtures: the folder of third-party photographs, and a small data set made for the tests."""

import os
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

# before anything imports PyTorch: on images this small more threads only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

from . import expected_skips
from .forked_commands import WITHOUT_PYTORCH, forked_commands
from .milvus_lite import MilvusLite
from .milvus_standalone import MilvusStandalone

ROOT = Path(__file__).parents[1]
Server = TypeVar("Server", MilvusLite, MilvusStandalone)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    expected_skips.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    expected_skips.register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: run with --slow"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where exported encoders are kept: shared by the tests and the commands that they run, and gone after them."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["DACO_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party photographs and reference values, which is no part of the project."""
    folder = Path(os.environ.get("DACO_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the third-party photographs and reference values are not on this machine (DACO_SHARED)")
    return folder


@pytest.fixture(scope="session")
def commands() -> Path:
    """The folder of the installed commands."""
    return Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the same commands that start at once: for tests that run many, of what PyTorch is part of."""
    with forked_commands(tmp_path_factory.mktemp("commands"), scripts()) as folder:
        yield folder


@pytest.fixture(scope="session")
def forked_without_pytorch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As `forked`, there in a tenth of the time: for commands that PyTorch is no part of."""
    with forked_commands(tmp_path_factory.mktemp("commands"), scripts(), WITHOUT_PYTORCH) as folder:
        yield folder


def scripts() -> dict[str, str]:
    """The project's commands, and what each calls."""
    found: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    return found


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """A Milvus server for all tests that do not stop it."""
    yield from started(MilvusLite, tmp_path_factory.mktemp("milvus") / "data")


@pytest.fixture(scope="session")
def milvus_standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusStandalone]:
    """The server that production runs, started once; it takes half a minute."""
    yield from started(MilvusStandalone, tmp_path_factory.mktemp("standalone") / "data")


def started(kind: type[Server], data: Path) -> Iterator[Server]:
    """A server of that kind, until the tests are done with it; they are skipped where it cannot be had."""
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    try:
        server = kind(data)
    except RuntimeError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture
def own_milvus(tmp_path: Path, milvus: MilvusLite) -> Iterator[MilvusLite]:
    """A Milvus server that a test may stop."""
    server = MilvusLite(tmp_path / "milvus")
    yield server
    server.stop()


def write_places(folder: Path, train: int, val: int, seed: int = 0) -> None:
    """A data set in the published layout: coloured patches, bright in domain a and dark in b, and their twins."""
    random = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            patches = random.integers(0, 255, (6, 8, 3)).astype(np.float64)
            for kind, gains in (("original", (1.0, 0.4)), ("generated", (0.4, 1.0))):
                for domain, gain in zip(("domain_a", "domain_b"), gains, strict=True):
                    file = folder / kind / domain / split / f"place{number:03d}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray((patches * gain).astype(np.uint8)).resize((96, 72)).save(file)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data root that holds the small data set `places`: 12 training and 6 validation pairs, with twins."""
    root = tmp_path_factory.mktemp("data")
    write_places(root / "places", train=12, val=6)
    yield root
