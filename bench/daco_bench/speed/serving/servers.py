"""Runs servers in separate processes: starts them, waits until they answer, measures their memory, stops them."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from daco_core.errors import DacoError

START_SECONDS = 180
WEIGH_SECONDS = 5.0  # between measurements: for a gigabyte one takes some 25 ms, which is missing from the benchmark
STOP_SECONDS = 30


@dataclass
class RunningServer:
    """A server that answers requests.

    Args:
        url: the address for queries, sent as the form field `image`.
        memory: (seconds since its start, bytes): the memory of all its processes, without mapped library files.
    """

    url: str
    process: subprocess.Popen[str]
    memory: list[tuple[float, int]] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """The CPU time of all its processes so far."""
        taken = 0.0
        for member in _family(self.process.pid):
            with suppress(psutil.Error):
                times = member.cpu_times()
                taken += times.user + times.system
        return taken

    def peak(self) -> int:
        """Bytes."""
        return max((size for _, size in self.memory), default=0)


def daco_serve(index: Path, workers: int, precision: str) -> "Start":
    """The command of daco-serve."""
    words = ["-c", "from daco_serve.cli.main import main; main()", "run", "--index", str(index), "--port", "0"]
    return Start([*words, "--workers", str(workers), "--precision", precision], "/v1/query", None)


def rival(name: str, *arguments: object) -> "Start":
    """The command of another server, which gets its port as an argument: `fastapi` or `litserve`."""
    port = _free_port()
    index, *more = map(str, arguments)
    return Start(["-m", f"daco_bench.speed.serving.{name}_rival", index, str(port), *more], "/query", port)


@dataclass(frozen=True)
class Start:
    """How to start a server: Python's arguments, the path of queries, and the port unless the server prints it."""

    arguments: list[str]
    path: str
    port: int | None


@contextmanager
def running(start: Start) -> Iterator[RunningServer]:
    """Runs a server within a context.

    Raises:
        DacoError: it does not start; the message contains its last output.
    """
    process = subprocess.Popen(
        [sys.executable, *start.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    found = threading.Event()
    threading.Thread(target=_listen, args=(process, said, found), daemon=True).start()
    try:
        server = RunningServer(f"{_address(start, process, said, found)}{start.path}", process)
        weighing = threading.Event()
        scales = threading.Thread(target=_weigh, args=(server, weighing), daemon=True)
        scales.start()
        yield server
        weighing.set()
        scales.join()
    finally:
        _stop(process)


def _listen(process: "subprocess.Popen[str]", said: list[str], found: threading.Event) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        del said[:-20]
        if re.search(r"http://\S+", line):
            found.set()


def _address(start: Start, process: "subprocess.Popen[str]", said: list[str], found: threading.Event) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if start.port is not None:
            address = f"http://127.0.0.1:{start.port}"
            if _answers(f"{address}/health"):
                return address
            time.sleep(0.2)
        elif found.wait(0.2):
            match = re.search(r"http://\S+", "".join(said))
            assert match
            return match[0]
    raise DacoError(f"{' '.join(start.arguments)} does not start: {''.join(said).strip()[-500:]}")


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _family(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _weigh(server: RunningServer, done: threading.Event) -> None:
    began = time.monotonic()
    while not done.wait(WEIGH_SECONDS):
        size = sum(own_memory(member) for member in _family(server.process.pid))
        if size:
            server.memory.append((round(time.monotonic() - began, 1), size))


def own_memory(member: psutil.Process) -> int:
    """The private memory of a process in bytes, with its share of memory shared with forks.

    Pages of libraries are left out if the system reports them separately, because their share varies with other
    programs that use them.
    """
    try:
        rollup = Path(f"/proc/{member.pid}/smaps_rollup").read_text()
        return 1024 * int(re.findall(r"^Pss_Anon: +(\d+) kB", rollup, re.MULTILINE)[0])
    except (OSError, IndexError):
        with suppress(psutil.Error):
            return int(member.memory_info().rss)
    return 0


def _stop(process: "subprocess.Popen[str]") -> None:
    family = _family(process.pid)[1:]
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    for member in alive:
        member.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package as a program."""
    return [sys.executable, "-m", f"daco_bench.speed.serving.{module}", *map(str, arguments)]
