"""Starts the standalone server of Milvus 2.3 for the slow tests, from the package `milvus`, which contains it.

It lies in `.tools/milvus-standalone`, a virtual environment that is made once, with pip. There is such a package for
Linux on x86-64 only; it needs setuptools below 81.
"""

import platform
import socket
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".tools" / "milvus-standalone"
PACKAGES = ["milvus==2.3.5", "setuptools<81"]  # the last that there is
PROGRAM = """
import sys
from milvus import MilvusServer

server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.listen_port = int(sys.argv[2])
server.start()
print("started", flush=True)
sys.stdin.read()
server.stop()
"""


def python_of_milvus() -> Path:
    """The Python that can run it. Raises RuntimeError, saying why, where it cannot be made."""
    python, made = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made"
    if made.exists():
        return python
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise RuntimeError("Milvus 2.3 cannot be installed: its package is for Linux on x86-64")
    venv.create(ENVIRONMENT, clear=True, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Milvus 2.3 cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    made.touch()
    return python


class MilvusStandalone:
    """One server with its data, on a port of its own."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        log = data.with_suffix(".log")
        self._process = subprocess.Popen(
            [python_of_milvus(), "-c", PROGRAM, data, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"started\n":  # it gives up by itself after three minutes
            raise RuntimeError(f"Milvus 2.3 does not start: {log.read_text()[-500:]}")

    def stop(self) -> None:
        """Ends it in good order, which takes some seconds."""
        self._process.communicate(timeout=120)

    def address(self, name: str) -> str:
        """A place for one index on this server, as `--store` takes it."""
        return f"milvus://127.0.0.1:{self.port}/{name}"
