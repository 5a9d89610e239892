"""The Dockerfile, the Makefile and the package metadata refer to things that exist."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPONENTS = {  # folder to import name, in the order of imports: each may import those before it
    "core": "daco_core",
    "training": "daco_training",
    "index": "daco_index",
    "daco_serve": "daco_serve",
    "bench": "daco_bench",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_path_that_the_dockerfile_copies_exists() -> None:
    copies = re.findall(r"^COPY (.+)$", DOCKERFILE, flags=re.MULTILINE)
    sources = [source for line in copies for source in line.split()[:-1]]
    assert {"pyproject.toml", *COMPONENTS} <= set(sources)
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source not in ignored


def test_the_dockerfile_runs_daco_serve_with_existing_settings_and_not_as_root(commands: Path) -> None:
    from daco_serve.operation.settings import ServeSettings

    (command,) = re.findall(r"^CMD \[(.+)\]$", DOCKERFILE.split("HEALTHCHECK")[1].split("\n\n")[1], flags=re.MULTILINE)
    name, verb = re.findall(r'"([^"]+)"', command)
    assert (commands / name).is_file()
    subprocess.run([commands / name, verb, "--help"], check=True, capture_output=True)
    for setting in re.findall(r"\bDACO_(\w+)=", DOCKERFILE):
        assert setting.lower() in ServeSettings.model_fields, setting
    assert re.search(r"^USER (?!root)", DOCKERFILE, flags=re.MULTILINE)
    assert "/readyz" in DOCKERFILE.split("HEALTHCHECK")[1]


def test_every_command_is_installed_and_prints_help_and_its_version(commands: Path) -> None:
    assert set(PROJECT["scripts"]) == {"daco-train", "daco-data", "daco-index", "daco-serve", "daco-bench"}
    for name in PROJECT["scripts"]:
        done = subprocess.run([commands / name, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert "Usage" in done.stdout
        done = subprocess.run([commands / name, "--version"], capture_output=True, text=True, timeout=60)
        assert done.stdout == f"daco-serve {PROJECT['version']}\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")
def test_the_makefile_has_targets_for_the_demo_and_the_tests() -> None:
    for target, command in (("demo", "daco-serve run"), ("test", "pytest")):
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert command in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")
def test_the_demo_installs_pytorch_only_where_there_is_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name, gpu in (("cpu", "exit 1"), ("gpu", "echo GPU 0: one")):
        driver = tmp_path / "bin" / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\n{gpu}\n")
        driver.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        command = ["make", "--dry-run", "demo", f"VENV={tmp_path / 'venv'}", f"DEMO={tmp_path / 'demo'}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        assert f"'.[{name},demo]'" in done.stdout, done.stderr


def test_no_extras_install_both_builds_of_faiss_and_the_cpu_extra_installs_no_pytorch() -> None:
    extras = PROJECT["optional-dependencies"]

    def brings(extra: str) -> set[str]:
        names: set[str] = set()
        for need in extras[extra]:
            inner = re.match(r"daco-serve\[(.+)\]", need)
            names |= set().union(*map(brings, inner[1].split(","))) if inner else {re.split(r"[^\w-]", need)[0]}
        return names

    assert "faiss-cpu" in brings("cpu") and "faiss-gpu" in brings("gpu")
    training = {"torch", "torchvision", "timm", "lightning-fabric"}
    assert not (brings("cpu") | set(PROJECT["dependencies"])) & training
    assert training <= brings("train")
    for extra in set(extras) - {"gpu"}:
        assert "faiss-gpu" not in brings(extra), extra


def test_imports_run_in_one_direction() -> None:
    packages = list(COMPONENTS.values())
    for position, folder in enumerate(COMPONENTS):
        for file in (ROOT / folder).rglob("*.py"):
            imported = re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), flags=re.MULTILINE)
            assert not set(imported) & set(packages[position + 1 :]), file.relative_to(ROOT)


def test_only_known_modules_of_the_index_import_training_or_pytorch() -> None:
    """The others run where neither is installed; `devices` asks PyTorch for its GPUs once it has found a driver."""
    engines = ROOT / "index" / "daco_index" / "embedding" / "engines"
    for folder in ("core", "index", "daco_serve"):
        for file in (ROOT / folder).rglob("*.py"):
            imported = set(re.findall(r"^(?:from|import) (\w+)", file.read_text(), flags=re.MULTILINE))
            if file != engines / "pytorch.py":
                assert "daco_training" not in re.findall(
                    r"^\s*(?:from|import) (\w+)", file.read_text(), flags=re.MULTILINE
                ), file.relative_to(ROOT)
            if file not in (engines / "pytorch.py", engines / "cuda_graphs.py"):
                assert not imported & {"torch", "torchvision", "timm", "lightning_fabric"}, file.relative_to(ROOT)


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git checkout")
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[\w.+!]+", line) for line in constraints if not line.startswith("#"))
    home = str(Path.home()) + "/"
    for name in tracked.stdout.split():
        if name.endswith((".py", ".toml", ".md", ".txt", "Makefile", "Dockerfile", ".sh")):
            text = (ROOT / name).read_text()
            assert home not in text, name
            assert str(ROOT) not in text, name


def test_no_folder_of_a_package_has_more_than_a_dozen_modules() -> None:
    for folder in COMPONENTS:
        for inner in [ROOT / folder, *(ROOT / folder).rglob("*/")]:
            modules = [file for file in inner.glob("*.py") if file.name != "__init__.py"]
            assert len(modules) <= 12, inner.relative_to(ROOT)
