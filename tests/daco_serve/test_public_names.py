"""`import daco_serve`: its public names, which are imported lazily, and its type information."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import daco_serve

PACKAGES = ("daco_core", "daco_training", "daco_index", "daco_serve", "daco_bench")


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running this."""
    code += "\nimport sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_every_public_name_exists_and_is_listed() -> None:
    homes = {name for names in daco_serve._HOMES.values() for name in names}
    assert sorted(homes) == sorted(daco_serve.__all__)
    for name in daco_serve.__all__:
        assert getattr(daco_serve, name).__doc__, name
        assert name in dir(daco_serve)
    with pytest.raises(AttributeError, match="Clinet"):
        _ = daco_serve.Clinet


def test_importing_the_client_loads_httpx_and_pydantic_but_nothing_heavy() -> None:
    loaded = loaded_by("from daco_serve import AsyncClient, Client, Refused; Client()")
    assert {"httpx", "pydantic"} <= loaded
    heavy = {"numpy", "PIL", "torch", "torchvision", "faiss", "openvino", "fastapi", "starlette", "typer", "tqdm"}
    assert not heavy & loaded
    assert not {"daco_index", "daco_training", "daco_bench"} & loaded


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not {"httpx", "pydantic", "numpy"} & loaded_by("import daco_serve")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_contains_type_hints(package: str) -> None:
    (folder,) = import_module(package).__path__
    assert (Path(folder) / "py.typed").is_file()
