"""Measures an installation: megabytes to download and on disk, seconds until ready, memory of a server."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
from PIL import Image

import daco_core
from daco_core.console import words
from daco_core.errors import DacoError, UsageError, reason_of

MIB = 1 << 20
PHOTOGRAPHS = 8  # in the small index that is served
SERVING = re.compile(r"http://\S+")
START_SECONDS = 120

# code run by the interpreter that is measured
SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"
IMPORT_CLIENT = "import time; t = time.perf_counter(); from daco_serve import Client; print(time.perf_counter() - t)"
RUN = "import sys; from importlib import import_module; import_module(sys.argv.pop(1)).main()"


@dataclass(frozen=True)
class Footprint:
    """The figures of one environment; None if it lacks that part, or if nothing was installed.

    Args:
        name: its extras.
        download_mb: of all packages that pip would download for an empty environment.
        site_packages_mb: of all files there.
        start_seconds: from the command to "Serving"; the median.
        server_mib: resident memory of the serving process, without its decoder process.
        import_seconds: of `from daco_serve import Client`, the median.
    """

    name: str
    download_mb: float | None
    site_packages_mb: float
    start_seconds: float | None
    server_mib: float | None
    import_seconds: float


def footprint(extras: str | None, rounds: int, folder: Path) -> Footprint:
    """Measures an environment.

    Args:
        extras: comma-separated, as in `daco-serve[cpu,demo]`: installed into an empty environment below `folder`; ""
            for none. None to measure the environment of this program.

    Raises:
        UsageError: there is no such extra.
        DacoError: pip cannot install them, or the server does not start.
    """
    python, download = Path(sys.executable), None
    if extras is not None:
        known = metadata("daco-serve").get_all("Provides-Extra") or []
        if unknown := [extra for extra in words(extras) if extra not in known]:
            raise UsageError(f"daco-serve has no extra {unknown[0]!r}: choose from {', '.join(known)}.")
        environment = folder / (extras or "base")
        venv.create(environment, with_pip=False, symlinks=True)
        python = environment / "bin" / "python"
        download = _download_mb(python, extras)
        _pip(python, "install", "--quiet", *_packages(extras))
    size = _size_mb(Path(_output(python, "-c", SITE_PACKAGES).strip()))
    imports = [float(_output(python, "-c", IMPORT_CLIENT)) for _ in range(rounds)]
    starts: list[tuple[float, float]] = []
    if _can_serve(python):
        index = _small_index(python, folder / f"served-{extras}")
        starts = [_start(python, index) for _ in range(rounds + 1)][1:]  # the first one fills caches
    return Footprint(
        name="this environment" if extras is None else extras or "(none)",
        download_mb=download,
        site_packages_mb=size,
        start_seconds=round(statistics.median(seconds for seconds, _ in starts), 2) if starts else None,
        server_mib=round(statistics.median(memory for _, memory in starts)) if starts else None,
        import_seconds=round(statistics.median(imports), 3),
    )


def footprints(extras: Sequence[str] | None, rounds: int) -> list[Footprint]:
    """Measures environments one by one and removes each afterwards; None for this one. Raises as `footprint` does."""
    found = []
    for name in [None] if extras is None else extras:
        with tempfile.TemporaryDirectory(prefix="daco-footprint-") as folder:
            found.append(footprint(name, rounds, Path(folder)))
    return found


def _packages(extras: str) -> list[str]:
    """What pip installs: the source that this program runs from, with its constraints; otherwise the name."""
    root = Path(str(daco_core.__file__)).parents[2]
    if not (root / "pyproject.toml").is_file():
        return [f"daco-serve[{extras}]" if extras else "daco-serve"]
    constraints = ["--constraint", str(root / "constraints.txt")] if (root / "constraints.txt").is_file() else []
    return [*constraints, f"{root}[{extras}]" if extras else str(root)]


def _download_mb(python: Path, extras: str) -> float:
    report = json.loads(
        _pip(python, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", *_packages(extras))
    )
    addresses = [package["download_info"]["url"] for package in report["install"]]
    return round(sum(map(_bytes_of, addresses)) / 1e6, 1)


def _bytes_of(address: str) -> int:
    """The size of a package's file; 0 for a folder of sources, which need not be downloaded."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        file = Path(unquote(parts.path))
        return file.stat().st_size if file.is_file() else 0
    try:
        answer = httpx.head(address, follow_redirects=True, timeout=30)
    except httpx.HTTPError as error:
        raise DacoError(f"The size of {address} cannot be determined: {error}.") from error
    return int(answer.headers.get("content-length", 0))


def _pip(python: Path, *words: str) -> str:
    return _output(Path(sys.executable), "-m", "pip", "--python", str(python), *words)


def _output(python: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" or _is_this(python)}
    done = subprocess.run([python, *words], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise DacoError(f"{' '.join(words[:4])} failed: {lines[-1]}")
    return done.stdout


def _is_this(python: Path) -> bool:
    return python == Path(sys.executable)


def _size_mb(folder: Path) -> float:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def _can_serve(python: Path) -> bool:
    found = "from importlib.util import find_spec; print(all(map(find_spec, ('faiss', 'fastapi', 'openvino'))))"
    return _output(python, "-c", found).strip() == "True"


def _small_index(python: Path, folder: Path) -> Path:
    (folder / "photographs").mkdir(parents=True)
    for number in range(PHOTOGRAPHS):
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((320, 256)).save(folder / "photographs" / f"{number}.jpg")
    build = ("build", str(folder / "photographs"), "--out", str(folder / "index"), "--device", "cpu")
    _output(python, "-c", RUN, "daco_index.cli.main", *build)
    return folder / "index"


def _start(python: Path, index: Path) -> tuple[float, float]:
    """Seconds until a server prints that it serves, and its resident memory in MiB at that time."""
    words = ("run", "--index", str(index), "--port", "0", "--device", "cpu")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" or _is_this(python)}
    began = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", RUN, "daco_serve.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        if not SERVING.search(line):
            raise DacoError(f"The server does not start: {process.stderr.read().strip().splitlines()[-1:]}")
        return seconds, _resident_mib(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=START_SECONDS)


def _resident_mib(pid: int) -> float:
    """Resident memory of a process. Raises DacoError on a system without /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError as error:
        raise DacoError(f"The memory of a process cannot be read on this system ({reason_of(error)}).") from error
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB
