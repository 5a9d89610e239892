"""The server does what its OpenAPI document says, whatever schemathesis thinks of to try it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daco_serve.operation.keys import KeyFile

from .conftest import hosted

# what its schema allows to be sent is still no photograph
NOT_CHECKED = "positive_data_acceptance"


@pytest.fixture(scope="module")
def keyed(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server that asks for a key, so that it is tried without one too, and a key."""
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    token = keys.add("tester")
    with hosted(index, keys=keys.path, max_pixels=4_000_000) as address:
        yield address, token


def tried(commands: Path, folder: Path, address: str, token: str, *options: object) -> int:
    """How many requests schemathesis made; all of them must have been answered as documented."""
    command = [
        commands / "schemathesis",
        "run",
        f"{address}/openapi.json",
        "--header",
        f"Authorization: Bearer {token}",
    ]
    command += ["--exclude-checks", NOT_CHECKED, "--no-color", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=900, check=False)
    assert done.returncode == 0, done.stdout
    (generated, passed) = re.findall(r"(\d+) generated, (\d+) passed", done.stdout)[0]
    assert generated == passed
    print(f"{generated} requests")
    return int(generated)


def test_each_operation_answers_as_documented(commands: Path, tmp_path: Path, keyed: tuple[str, str]) -> None:
    assert tried(commands, tmp_path, *keyed, "--phases", "examples,coverage,fuzzing", "-n", 5, "--seed", 1) > 200


@pytest.mark.slow
def test_each_operation_answers_thousands_as_documented(commands: Path, tmp_path: Path, keyed: tuple[str, str]) -> None:
    assert tried(commands, tmp_path, *keyed, "-n", 300, "--seed", 2) > 3000
