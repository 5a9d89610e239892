"""Runs the comparison of servers: the bare loop, then each server at each load; and a long run for memory growth."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from daco_bench.speed.serving.servers import RunningServer, Start, daco_serve, program, rival, running
from daco_bench.speed.serving.timings import ClientTimings
from daco_core.errors import DacoError, UsageError
from daco_core.threads import available_cores

WARM_SECONDS = 3.0
PATIENCE_SECONDS = 120.0  # after the run, for requests that are still unanswered
OURS = "daco-serve"
SERVERS = (OURS, "fastapi", "litserve")


@dataclass(frozen=True)
class MeasuredServer:
    """A server: its measurements at each concurrency, and the peak memory of its processes in bytes."""

    name: str
    runs: dict[int, ClientTimings]
    memory: int


@dataclass(frozen=True)
class ServingComparison:
    """The results of one run.

    Args:
        floor: the bare loop, by the number of parallel loops.
    """

    floor: dict[int, ClientTimings]
    servers: list[MeasuredServer] = field(default_factory=list)


@dataclass(frozen=True)
class Soak:
    """The results of one long run.

    Args:
        growth: of the median memory, from the second fifth of the run to the last, in percent.
        memory: (seconds, bytes), sampled.
    """

    seconds: float
    clients: int
    timings: ClientTimings
    growth: float
    memory: list[tuple[float, int]]


def check_servers(servers: Sequence[str]) -> None:
    """Raises UsageError if a server is unknown."""
    unknown = set(servers) - set(SERVERS)
    if unknown:
        raise UsageError(f"There is no server {sorted(unknown)[0]!r} to compare: choose from {', '.join(SERVERS)}.")


def compare(
    index: Path,
    photographs: Sequence[Path],
    servers: Sequence[str],
    concurrencies: Sequence[int],
    seconds: float,
    rounds: int,
    workers: int,
    precision: str,
) -> ServingComparison:
    """Measures the bare loop and the servers in turns, so that other load on the machine affects all equally.

    All are started first and are idle between their turns. In each round each has one run of `seconds` at each
    concurrency; the results are the medians of the rounds.

    Raises:
        DacoError: a server is unknown or does not start, or the load generator fails.
    """
    check_servers(servers)
    cores = available_cores()
    floor: dict[int, list[ClientTimings]] = {loops: [] for loops in sorted({1, cores})}
    measured: dict[str, dict[int, list[ClientTimings]]] = {name: {at: [] for at in concurrencies} for name in servers}
    with ExitStack() as stack:
        run_floor = stack.enter_context(_floor(index, photographs, cores))
        started = {}
        for name in servers:
            _say(f"{name} starts")
            started[name] = stack.enter_context(running(_start(name, index, workers, precision, cores)))
            load(started[name], photographs, max(concurrencies), WARM_SECONDS)
        for loops in floor:
            run_floor(loops, 0.1)
        for number in range(rounds):
            for loops, runs in floor.items():
                run = run_floor(loops, seconds)
                runs.append(run)
                _say_run(number, rounds, "floor", loops, run)
            for clients in concurrencies:
                for name, server in started.items():
                    run = load(server, photographs, clients, seconds)
                    measured[name][clients].append(run)
                    _say_run(number, rounds, name, clients, run)
        peaks = {name: server.peak() for name, server in started.items()}
    return ServingComparison(
        _medians(floor), [MeasuredServer(name, _medians(runs), peaks[name]) for name, runs in measured.items()]
    )


def _medians(runs: dict[int, list[ClientTimings]]) -> dict[int, ClientTimings]:
    return {at: ClientTimings.median(timings) for at, timings in runs.items()}


@contextmanager
def _floor(index: Path, photographs: Sequence[Path], cores: int) -> Iterator[Callable[[int, float], ClientTimings]]:
    """The bare loop in a separate process, to be called with a number of parallel loops and seconds."""
    process = subprocess.Popen(
        program("floor", index, cores, *photographs), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(loops: int, seconds: float) -> ClientTimings:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{loops} {seconds}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise DacoError("The bare loop ended: its messages are above.")
        return ClientTimings(**json.loads(line))

    try:
        yield run
    finally:
        process.kill()
        process.communicate()


def soak(index: Path, photographs: Sequence[Path], clients: int, seconds: float, workers: int, precision: str) -> Soak:
    """Runs daco-serve under steady load for a long time. Raises as `compare` does."""
    with running(daco_serve(index, workers, precision)) as server:
        load(server, photographs, clients, WARM_SECONDS)
        _say(f"soak of {seconds:g} s, {clients} at once")
        timings = load(server, photographs, clients, seconds)
    sizes = [size for _, size in server.memory]
    fifth = max(1, len(sizes) // 5)
    early, late = statistics.median(sizes[fifth : 2 * fifth] or sizes), statistics.median(sizes[-fifth:])
    return Soak(seconds, clients, timings, round(100 * (late / early - 1), 2), server.memory)


def load(server: RunningServer, photographs: Sequence[Path], clients: int, seconds: float) -> ClientTimings:
    """One run of the load generator, in a separate process.

    Raises:
        DacoError: it fails, or takes much too long.
    """
    before = server.cpu_seconds()
    command = program("load", server.url, clients, seconds, *photographs)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DacoError(f"The load generator failed: {str(error.stderr or error).strip()[-500:]}") from error
    timings = ClientTimings(**json.loads(done.stdout.splitlines()[-1]))
    taken = server.cpu_seconds() - before
    return replace(timings, cpu_ms=round(1000 * taken / max(1, timings.answered), 1))


def _start(name: str, index: Path, workers: int, precision: str, cores: int) -> Start:
    if name == OURS:
        return daco_serve(index, workers, precision)
    return rival(name, index, cores) if name == "litserve" else rival(name, index)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _say_run(number: int, rounds: int, name: str, at_once: int, run: ClientTimings) -> None:
    speed = f"{run.per_second:g} requests/s, p50 {run.p50_ms:g} ms"
    _say(f"round {number + 1} of {rounds}: {name}, {at_once} at once: {speed}")
