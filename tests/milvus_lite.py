"""Starts a real Milvus server for the tests: Milvus Lite, in its own environment and on its own port.

Milvus Lite needs faiss-cpu, whose files would overwrite those of faiss-gpu, so it lies in `.tools/milvus-lite`, a
virtual environment that looks into ours for what both need. It is made once, with pip.
"""

import os
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".tools" / "milvus-lite"
PACKAGES = ["milvus-lite", "faiss-cpu"]
START_SECONDS = 60


def python_of_milvus_lite() -> Path:
    """The Python that can run Milvus Lite. Raises RuntimeError, saying why, where it cannot be made."""
    python, made = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made"
    if made.exists():
        return python
    venv.create(ENVIRONMENT, clear=True, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--constraint", str(ROOT / "constraints.txt"), *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Milvus Lite cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    site = next((ENVIRONMENT / "lib").glob("python*/site-packages"))
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")  # comes after its own
    made.touch()
    return python


class MilvusLite:
    """One server with its data, which can be stopped and started again on the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Comes back when it takes connections."""
        server = [python_of_milvus_lite(), "-m", "milvus_lite.cmdline", "server", "--host", "127.0.0.1"]
        log = self._data.with_suffix(".log").open("ab")
        self._process = subprocess.Popen(
            [*server, "--data-dir", self._data, "--port", str(self.port)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"Milvus Lite does not start: {self._data.with_suffix('.log').read_text()[-500:]}")

    def stop(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def address(self, name: str) -> str:
        """A place for one index on this server, as `--store` takes it."""
        return f"milvus://127.0.0.1:{self.port}/{name}"
