"""The wheel and the sdist: what is in them, and that the wheel works in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = ("core", "training", "index", "daco_serve", "bench")
PACKAGES = ("daco_core", "daco_training", "daco_index", "daco_serve", "daco_bench")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "constraints.txt")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def build(kind: str, source: Path, out: Path) -> Path:
    """What the backend of pyproject.toml makes of a folder of sources, as pip and build have it do."""
    out.mkdir()
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy that has tests and photographs in it, as a worktree may."""
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    for name in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source / name)
    (source / "data" / "demo").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(source / "data" / "demo" / "000.jpg")
    return build("sdist", source, folder / "dist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the sdist, which so has all that is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build("wheel", source, folder / "dist")


def tracked() -> set[str]:
    """The files of the packages, as git has them."""
    done = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return set(done.stdout.split())


def installed_names() -> set[str]:
    """The same files as an installation has them: packages, without the folder of the component."""
    return {name[name.index("daco_") :] for name in tracked()}


def test_the_wheel_holds_the_packages_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (license,) = [name for name in archive.namelist() if name.endswith("LICENSE") and ".dist-info/" in name]
    assert names == installed_names()
    assert {
        "daco_serve/web/index.html",
        "daco_bench/recall/published.csv",
        "daco_core/encoder/shipped/encoder.json",
        "daco_core/encoder/shipped/model.onnx",
        "daco_core/encoder/shipped/model.safetensors",
    } <= names
    assert license


def test_the_sdist_holds_sources_and_neither_tests_nor_photographs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert tracked() | set(SOURCES) <= names
    assert not [name for name in names if name.startswith(("tests/", "data/"))]
    assert not [name for name in names if Path(name).suffix in (".jpg", ".jpeg", ".webp")]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands' folder of an environment that holds the wheel, and sees what it depends on in ours."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def run(installed: Path, folder: Path, name: str, *words: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [installed / name, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{name} {' '.join(words)}: {done.stderr}"
    return done.stdout


def test_the_installed_commands_say_what_they_do_and_which_version_they_are(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "python", "-c", f"import {', '.join(PACKAGES)}; print(daco_index.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)
    for name in PROJECT["scripts"]:
        assert "Usage" in run(installed, tmp_path, name, "--help")
        assert run(installed, tmp_path, name, "--version") == f"daco-serve {PROJECT['version']}\n"


def test_the_installed_program_makes_a_map_and_finds_a_photograph_in_it(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    for number, colours in enumerate(((250, 20, 20), (20, 250, 20), (20, 20, 250))):
        picture = Image.new("RGB", (96, 72), colours)
        picture.paste((255, 255, 255), (10 + 20 * number, 10, 30 + 20 * number, 60))
        picture.save(tmp_path / "photographs" / f"{number}.png")
    run(installed, tmp_path, "daco-index", "build", "photographs", "--out", "map", "--device", "cpu")
    answer = json.loads(
        run(installed, tmp_path, "daco-index", "search", "photographs/1.png", "--index", "map", "-k", "3", "--json")
    )
    places = [match["place"] for match in answer["matches"]]
    assert places[0] == "1"
    assert sorted(places) == ["0", "1", "2"]
