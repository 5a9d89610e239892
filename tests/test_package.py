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
SOURCES = (
    *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff"),
    "constraints.txt",
)
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


def test_the_wheel_contains_the_complete_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (license,) = [name for name in archive.namelist() if name.endswith("LICENSE") and ".dist-info/" in name]
        (notice,) = [name for name in archive.namelist() if name.endswith("NOTICE") and ".dist-info/" in name]
        terms = archive.read(notice).decode()
    assert names == installed_names()
    assert "licensed for research use" in " ".join(terms.split()), "the terms of the weights that ship"
    assert {
        "daco_serve/web/index.html",
        "daco_bench/recall/published.csv",
        "daco_core/encoder/shipped/encoder.json",
        "daco_core/encoder/shipped/model.onnx",
        "daco_core/encoder/shipped/model.safetensors",
    } <= names
    assert license


def test_the_sdist_contains_sources_but_no_tests_or_photographs(sdist: Path) -> None:
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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of another project, whose packages bear the names of our folders and are not meant to be imported."""
    for name in (*(name for name in FOLDERS if name != "daco_serve"), "tests"):
        package = tmp_path / "project" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise ImportError('{name} of another project was imported')\n")
    for name in ("errors.py", "settings.py", "client.py"):
        (tmp_path / "project" / name).write_text(f"raise ImportError('{name} of another project was imported')\n")
    return tmp_path / "project"


def run(installed: Path, folder: Path, name: str, *words: str) -> str:
    """What a command prints in a folder, whose own modules are found before those of the environment."""
    done = subprocess.run(
        [installed / name, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{name} {' '.join(words)}: {done.stderr}"
    return done.stdout


def test_the_installed_commands_print_help_and_their_version(installed: Path, project: Path) -> None:
    where = run(installed, project, "python", "-c", f"import {', '.join(PACKAGES)}; print(daco_index.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)
    for name, entry in PROJECT["scripts"].items():
        assert "Usage" in run(installed, project, name, "--help")
        assert run(installed, project, name, "--version") == f"daco-serve {PROJECT['version']}\n"
        module, _, function = entry.partition(":")
        called = run(installed, project, "python", "-c", f"from {module} import {function}; {function}()", "--version")
        assert called == f"daco-serve {PROJECT['version']}\n"


def test_the_client_can_be_imported_in_the_folder_of_another_project(installed: Path, project: Path) -> None:
    code = "from daco_serve import Client; import daco_serve; print(Client.__name__, daco_serve.__file__)"
    name, where = run(installed, project, "python", "-c", code).split()
    assert name == "Client"
    assert Path(where).is_relative_to(installed.parent)


def test_the_installed_program_builds_an_index_and_finds_a_photograph_in_it(installed: Path, project: Path) -> None:
    (project / "photographs").mkdir()
    for number, colours in enumerate(((250, 20, 20), (20, 250, 20), (20, 20, 250))):
        picture = Image.new("RGB", (96, 72), colours)
        picture.paste((255, 255, 255), (10 + 20 * number, 10, 30 + 20 * number, 60))
        picture.save(project / "photographs" / f"{number}.png")
    run(installed, project, "daco-index", "build", "photographs", "--out", "map", "--device", "cpu")
    answer = json.loads(
        run(installed, project, "daco-index", "search", "photographs/1.png", "--index", "map", "-k", "3", "--json")
    )
    places = [match["place"] for match in answer["matches"]]
    assert places[0] == "1"
    assert sorted(places) == ["0", "1", "2"]
