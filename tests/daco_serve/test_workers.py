"""Several workers behind one port behave like one server, and failed ones are replaced soon."""

import errno
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import httpx
import pytest

from daco_serve.operation.settings import ServeSettings
from daco_serve.operation.workers import _Worker

from .conftest import COMMAND, served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
PATIENCE_SECONDS = 60.0


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def workers_of(pid: int) -> set[int]:
    """They are forked by a process that the command starts."""
    return {worker for child in children(pid) for worker in children(child)}


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_worker_is_replaced_while_the_others_answer_and_all_stop_together(
    index: Path, photographs: Path
) -> None:
    content = (photographs / "4.png").read_bytes()
    with served(index, "--workers", 2) as (address, process):
        before = workers_of(process.pid)
        assert len(before) == 2
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: not lives(victim))
        for _ in range(5):  # a connection each, so that any of the workers may take it
            assert httpx.post(f"{address}/v1/query", content=content).json()["matches"][0]["id"] == 4
        assert eventually(lambda: len(workers_of(process.pid)) == 2)
        after = workers_of(process.pid)
        assert victim not in after and before & after
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Worker 1 was killed by SIGKILL" in errors or "Worker 2 was killed by SIGKILL" in errors
    assert "Traceback" not in errors
    assert not any(lives(worker) for worker in before | after)


def test_workers_do_not_outlive_the_command_that_started_them(index: Path) -> None:
    with served(index, "--workers", 2) as (_, process):
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.kill()
        assert eventually(lambda: not any(lives(worker) for worker in workers))


def test_an_index_that_workers_cannot_load_is_reported_in_one_sentence(own_index: Path) -> None:
    (own_index / "generations" / "1" / "encoder" / "model.safetensors").unlink()
    command = [*COMMAND, "run", "--index", str(own_index), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "model.safetensors" in done.stderr


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (EOFError("unexpected EOF"), "EOFError('unexpected EOF')"),  # the process that forks was killed
        (RuntimeError("can't start new thread"), 'RuntimeError("can\'t start new thread")'),
        (MemoryError(), "MemoryError()"),
    ],
)
def test_replacing_a_worker_is_tried_again_after_a_failure_and_its_pipe_is_closed(
    fault: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    class Process:
        def __init__(self, **arguments: object) -> None:
            """As multiprocessing's."""

        def start(self) -> None:
            attempts.append(1)
            raise fault

    context = multiprocessing.get_context("spawn")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket() as listener:
        starved = mock.Mock(Pipe=context.Pipe, Process=Process)
        worker = _Worker(starved, ServeSettings(index=("x",)), listener, 1, "x")
        for _ in range(3):
            worker.look_after()
        assert len(attempts) == 2  # the first at once, the next after a pause
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert f"Worker 1 cannot be started ({reason})." in caplog.messages
    with pytest.raises(type(fault)):  # while the server starts, it is the reason why it does not
        worker.start()


def test_a_worker_is_replaced_even_if_its_metrics_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(pid: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("daco_serve.operation.metrics.forget_worker", fail)
    context = multiprocessing.get_context("fork")
    with socket.socket() as listener:
        started = mock.Mock(Pipe=context.Pipe, Process=lambda **given: context.Process(target=time.sleep, args=[60]))
        worker = _Worker(started, ServeSettings(index=("x",)), listener, 1, "x")
        worker.start()
        assert worker.process is not None
        first = worker.process
        first.kill()
        first.join()
        worker._reports.close()
        worker._reports = mock.Mock(poll=lambda: True, recv=mock.Mock(side_effect=EOFError))
        worker.look_after()
        assert worker.process is None and "Input/output error" in caplog.text
        worker.look_after()
        assert worker.process is not None and worker.process.pid != first.pid
        worker.process.kill()
        worker.process.join()
