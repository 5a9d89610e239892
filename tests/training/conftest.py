"""What the tests of the training share: the command that prepares data sets."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DacoData = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def daco_data(forked: Path) -> DacoData:
    """Runs the real command in a process of its own."""

    def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([forked / "daco-data", *map(str, words)], capture_output=True, text=True)

    return run
