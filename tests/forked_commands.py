"""Runs the project's commands without the time for imports: each is forked from a process that has imported them.

`python forked_commands.py serve SOCKET SCRIPTS` is that process. `python forked_commands.py ask SOCKET COMMAND ...`,
which lies in a folder under each command's name, hands it its words, its folder, its environment and its three
streams, and ends as the command ends. `forked-python` lies there, too: the interpreter, with the imports done. A signal
that ends the process is passed on, but not SIGKILL: a test that kills a command so runs the installed one.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

START_SECONDS = 600
PYTHON = "forked-python"  # another name than the real one, which scripts also run
# all that takes long to import, and starts no thread: without PyTorch, and with it
WITHOUT_PYTORCH = ("daco_serve.http.app", "daco_serve.cli.main", "daco_index.build", "daco_index.cli.main")
IMPORTS = (
    *WITHOUT_PYTORCH,
    "daco_bench.cli.main",
    "daco_bench.calibration.own",
    "daco_bench.recall.task",
    "daco_serve.operation.workers",
    "daco_training.cli.train",
    "daco_training.cli.data",
    "daco_training.loop.trainer",
)


@contextlib.contextmanager
def forked_commands(folder: Path, entry_points: dict[str, str], imports: Sequence[str] = IMPORTS) -> Iterator[Path]:
    """The folder, with the project's commands in it, as long as the process that they are forked from lives."""
    address = folder / "socket"
    for name in (*entry_points, PYTHON):
        (folder / name).write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" ask "{address}" {name} "$@"\n'
        )
        (folder / name).chmod(0o755)
    environment = {**os.environ, "DACO_LOG_LEVEL": "warning", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", str(address), json.dumps(entry_points), *imports], env=environment
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address.exists():
            assert process.poll() is None and time.monotonic() < deadline, "the process to fork from does not start"
            time.sleep(0.05)
        yield folder
    finally:
        process.kill()
        process.wait()


def serve(address: str, entry_points: dict[str, str], imports: Sequence[str]) -> None:
    """Forks a command for each connection, until it is told to stop."""
    for name in imports:
        import_module(name)
    signal.signal(signal.SIGCHLD, _reap)  # whoever asked is told by the keeper of the command
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _keep(connection, entry_points)
            connection.close()


def _reap(number: int, frame: object) -> None:
    """Takes in the keepers that have ended, so that their CPU time counts as the tests'."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(connection: socket.socket, entry_points: dict[str, str]) -> None:
    """Runs one command in a fork of its own, and tells who asked its process and then its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("r", encoding="utf-8") as told:
        asked = json.loads(told.readline())
    process = os.fork()
    if process == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(asked, entry_points)
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{process}\n".encode())
        connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}\n".encode())
    os._exit(0)


def _run(asked: dict[str, object], entry_points: dict[str, str]) -> None:
    code: object = 0
    try:
        os.chdir(str(asked["folder"]))
        os.environ.clear()
        os.environ.update(asked["environment"])  # type: ignore[call-overload]
        sys.argv = [str(word) for word in asked["words"]]  # type: ignore[attr-defined]
        if sys.argv[0] == PYTHON:
            _interpret(sys.argv[1:])
        else:
            module, _, function = entry_points[sys.argv[0]].partition(":")
            getattr(import_module(module), function)()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0))  # type: ignore[call-overload]


def _interpret(words: list[str]) -> None:
    """Runs `-c CODE ...` or `FILE ...`, as the interpreter would."""
    if words[0] == "-c":
        sys.argv = [words[0], *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def ask(address: str, words: list[str]) -> int:
    """Has a command run, and waits for it: its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"3"], [0, 1, 2])
        asked = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as told:
            process = int(told.readline())
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, frame: os.kill(process, number))
            code = int(told.readline())
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:])
    sys.exit(ask(sys.argv[2], sys.argv[3:]))
