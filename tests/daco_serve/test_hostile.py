"""Hostile requests cause no crash, no hang, no leak, no 5xx and no delay for other clients.

`pytest tests/daco_serve/test_hostile.py -s` prints how many inputs of each kind there were and what became of them;
with `--slow` all of them are sent, without it a twelfth of those that are generated in numbers.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx
import pytest

from daco_core.threads import available_cores
from daco_serve.http.refusals import REFUSALS

from .conftest import served
from .hostile import Hostile, photo, png, uploads
from .hostile_wires import CHUNKED, GET, Wire, wires

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for leaks in /proc")

ANSWER_SECONDS = 30  # for one input on a machine that is busy; a decoder is ended long before
GROWTH_BYTES = 32 * 2**20  # that the last round may add to the server's memory
NO_ANSWER = "closed"
SAMPLE = 12  # of the generated inputs, one of so many is sent in every run of the tests
WAIT_SECONDS = 2.0  # for which nobody may keep another client waiting
MIB = 2**20
UPLOAD_MEMORY = 64 * MIB
OTHER_MEMORY = 48 * MIB  # what connections, heads, parsers and images may take beside the uploads
AT_ONCE = 8  # connections that ask for nonsense together

Process = subprocess.Popen[str]


def report(results: dict[str, Counter[str]]) -> None:
    total = sum(sum(counts.values()) for counts in results.values())
    print()
    for kind, counts in results.items():
        told = ", ".join(f"{outcome} {count} times" for outcome, count in sorted(counts.items()))
        print(f"{kind:14} {sum(counts.values()):4}  {told}")
    print(f"{'in all':14} {total:4}")


def send(client: httpx.Client, hostile: Hostile) -> str:
    """What became of it: a status."""
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in hostile.headers.items()]
    try:
        answer = client.post(hostile.path, content=hostile.content, headers=headers)
    except httpx.InvalidURL:  # longer than the client sends
        path = hostile.path.encode("ascii", "ignore")
        return exchange(
            client, b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", ANSWER_SECONDS
        )
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return NO_ANSWER
    if answer.status_code >= 400 and answer.headers["content-type"] == "application/json":
        assert answer.json()["error"]["code"], hostile
        assert "Traceback" not in answer.text and ".py" not in answer.text, hostile
    return str(answer.status_code)


def connect(client: httpx.Client) -> socket.socket:
    address = urlsplit(str(client.base_url))
    connection = socket.create_connection((address.hostname, address.port), timeout=ANSWER_SECONDS)
    return connection


def exchange(client: httpx.Client, content: bytes, patience: float) -> str:
    """The status that bytes get on a connection of their own, waiting no longer than `patience` seconds for it."""
    with connect(client) as connection:
        try:
            with suppress(ConnectionError):  # refused before all was sent
                connection.sendall(content)
            connection.settimeout(patience)  # some wait for the rest of what they were promised
            stream = connection.makefile("rb")
            line = stream.readline(100)
            if line.startswith(b"HTTP/1.1 100"):
                return "told to go on"
            if not line.startswith(b"HTTP/1.1 "):
                return NO_ANSWER
            status = line.split()[1].decode()
            if status[0] == "4":
                _has_the_form_of_errors(stream)
        except TimeoutError:
            return "still waiting"
        except ConnectionError:
            return NO_ANSWER
    return status


def _has_the_form_of_errors(stream: BinaryIO) -> None:
    headers = {}
    while line := stream.readline(1000).decode("latin-1").strip():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    assert headers["content-type"] == "application/json", headers
    assert json.loads(stream.read(int(headers["content-length"])))["error"]["code"] in REFUSALS


def state(process: Process) -> tuple[int, int]:
    """Bytes of memory of the server and what it started, and its open files."""
    family = [process.pid, *(int(pid) for pid in _children(process.pid))]
    memory = 0
    for pid in family:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                memory += int(line.split()[1]) * 1024
    return memory, len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def _children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def settled(process: Process, files: int) -> bool:
    deadline = time.monotonic() + 20
    while state(process)[1] > files and time.monotonic() < deadline:
        time.sleep(0.2)
    return state(process)[1] <= files


def throw(client: httpx.Client, inputs: list[Hostile]) -> None:
    """Sends them all, one after the other; each must be answered, and none with a 5xx."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for hostile in inputs:
        outcome = send(client, hostile)
        assert outcome[0] in "24" or (outcome == NO_ANSWER and hostile.kind == "form"), (hostile.name, outcome)
        if hostile.kind == "unusual":
            assert outcome == "200", hostile.name
        results[hostile.kind][outcome] += 1
    report(results)


def throw_bytes(client: httpx.Client, inputs: list[Wire], patience: float) -> None:
    """The same with requests that are none: each is refused or dropped."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = threads.map(lambda wire: exchange(client, wire.content, patience), inputs)
        for wire, outcome in zip(inputs, outcomes, strict=True):
            assert outcome[0] != "5", (wire.name, outcome)
            results[wire.kind][outcome] += 1
    report(results)


def slower() -> float:
    """How many times longer everything takes because of what else this machine does."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Watch:
    """What another client sees meanwhile, and what memory the server takes."""

    def __init__(self, address: str, pid: int) -> None:
        self._address = address
        self._status = Path(f"/proc/{pid}/status")
        self._before = self._memory()
        self.over = threading.Event()
        self.slower = slower()
        self.longest = 0.0
        self.memory = 0
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=work) for work in (self._ask, self._weigh)]

    def _weigh(self) -> None:
        while not self.over.wait(0.01):
            self.memory = max(self.memory, self._memory() - self._before)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._address, timeout=ANSWER_SECONDS) as client:
            asked = False
            while not asked or not self.over.wait(0.05):
                asked = True
                for method, path, content in (("GET", "/healthz", b""), ("POST", "/v1/query", photo("JPEG"))):
                    started = time.perf_counter()
                    status = 503
                    while status == 503 and time.perf_counter() - started < ANSWER_SECONDS:  # told to come again
                        headers = {"X-Forwarded-For": "198.51.100.7"}
                        answer = client.request(method, path, content=content, headers=headers)
                        status = answer.status_code
                    self.longest = max(self.longest, time.perf_counter() - started)
                    if status != 200:
                        self.failures.append(f"{path}: {answer.text}")

    def _memory(self) -> int:
        """Bytes of memory of the server without its decoders, which have a limit of their own."""
        found = [line.split()[1] for line in self._status.read_text().splitlines() if line.startswith("RssAnon:")]
        return int(found[0]) * 1024


@contextmanager
def watched(address: str, process: Process) -> Iterator[Watch]:
    """Meanwhile another client is answered, in time, and the server takes no more memory than it may."""
    watch = Watch(address, process.pid)
    for thread in watch.threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        for thread in watch.threads:
            thread.join()
    assert process.poll() is None, "the server ended"
    print(f"another client waited {watch.longest:.2f} s at most; memory grew by {watch.memory / MIB:.0f} MiB")
    assert not watch.failures, watch.failures[:3]
    assert watch.longest < WAIT_SECONDS * watch.slower
    assert watch.memory < UPLOAD_MEMORY + OTHER_MEMORY


@contextmanager
def attacked(index: Path) -> Iterator[tuple[httpx.Client, str, Process]]:
    """A server, and a client that will have each of its requests come from another address."""
    options = ("--max-pixels", 4_000_000, "--max-upload-bytes", 3_000_000, "--upload-memory", UPLOAD_MEMORY)
    with (
        served(index, *options, DACO_MAX_BATCH_BYTES="12000000", DACO_UPLOAD_SECONDS="5") as (address, process),
        httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client,
    ):
        for _ in range(3):
            assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
        yield client, address, process


def every(request: pytest.FixtureRequest) -> int:
    return 1 if request.config.getoption("--slow") else SAMPLE


def test_every_hostile_upload_is_answered_and_none_with_a_5xx(
    client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    inputs = uploads(every=every(request))
    assert len(inputs) >= 400
    before = client.post("/v1/query", content=photo("JPEG")).json()["matches"]
    throw(client, inputs)
    assert client.post("/v1/query", content=photo("JPEG")).json()["matches"] == before


def test_every_invalid_request_is_rejected_or_dropped_while_others_are_served(
    index: Path, request: pytest.FixtureRequest
) -> None:
    inputs = wires(every(request))
    assert len(inputs) >= (1000 if every(request) == 1 else 200)
    with attacked(index) as (client, address, process), watched(address, process):
        throw_bytes(client, inputs, patience=0.3)


def flood(client: httpx.Client, first: bytes, unit: bytes, size: int, connections: int) -> None:
    """Sends so many bytes, a piece at a time, on several connections, unless it is refused before."""
    piece = unit * (65536 // len(unit))

    def send(_: int) -> None:
        with connect(client) as connection, suppress(ConnectionError, TimeoutError):
            connection.sendall(first)
            for _ in range(size // len(piece)):
                connection.sendall(piece)

    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(send, range(connections)))


FLOODS = {
    "a value": (GET + b"X: ", b"a"),
    "a name": (GET, b"a"),
    "fields": (GET, b"X: y\r\n"),
    "an address": (b"GET /", b"a"),
    "line ends": (b"", b"\r\n"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\n", b"X: y\r\n"),
    "a trailer": (CHUNKED + b"3\r\nabc\r\n0\r\nX: ", b"a"),
    "an extension": (CHUNKED + b"3;", b"a"),
    "extensions": (CHUNKED, b"1;" + b"a" * 60 + b"\r\nx\r\n"),
    "requests": (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a body that nobody asked for": (GET + b"Content-Length: 999999999\r\n\r\n", b"a"),
    "an upload that is too large": (b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", b"a"),
    "a body without an end": (CHUNKED, b"fff0\r\n" + b"a" * 0xFFF0 + b"\r\n"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_any_part_of_a_request_delays_nobody_and_takes_no_memory(
    index: Path, kind: str, request: pytest.FixtureRequest, flooded: tuple[httpx.Client, str, Process]
) -> None:
    client, address, process = flooded
    first, unit = FLOODS[kind]
    size = 100 * MIB if every(request) == 1 else 4 * MIB
    with watched(address, process) as watch:
        flood(client, first, unit, size, connections=4)
    assert watch.memory < OTHER_MEMORY


@pytest.fixture(scope="module")
def flooded(index: Path) -> Iterator[tuple[httpx.Client, str, Process]]:
    with attacked(index) as found:
        yield found


PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


def upload_bytes(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("daco_upload_bytes "))


def hold(client: httpx.Client, address: str, contents: list[bytes], of: Callable[[int], str]) -> list[socket.socket]:
    """Begins as many uploads, each of which stops before its last byte."""
    held = []
    for number, content in enumerate(contents):
        connection = connect(client)
        head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {of(number)}\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n" if address.endswith("batch") else ""
        head += f"Content-Length: {len(content) + 1}\r\n\r\n"
        with suppress(ConnectionError):
            connection.sendall(head.encode() + content)
        held.append(connection)
    return held


@pytest.mark.parametrize("whose", ["of one client", "of a client each"])
@pytest.mark.parametrize("address", ["/v1/query", "/v1/query/batch", "/geopose"])
def test_stalled_uploads_do_not_occupy_places_of_others(
    whose: str, address: str, flooded: tuple[httpx.Client, str, Process]
) -> None:
    client, server, process = flooded

    def of(number: int) -> str:
        return "192.0.2.1" if whose == "of one client" else f"192.0.2.{number + 1}"

    held = hold(client, address, [bytes(1000)] * 100, of)
    try:
        if whose != "of one client":
            time.sleep(1.2)  # they keep their places until they have stalled
        with watched(server, process):
            time.sleep(1)
    finally:
        for connection in held:
            connection.close()


def test_many_large_uploads_hold_at_most_the_allowed_memory(flooded: tuple[httpx.Client, str, Process]) -> None:
    client, server, process = flooded
    poses = b'{"id": "1", "sensorReadings": {"wifiReadings": [' + b'{"RSSI": 1},' * 240_000
    with watched(server, process):
        for address, content in (
            ("/v1/query", bytes(2_900_000)),
            ("/v1/query/batch", PART + bytes(11_000_000)),
            ("/geopose", poses),
        ):
            held = hold(client, address, [content] * 40, lambda number: f"192.0.2.{number + 1}")
            deadline = time.monotonic() + 10
            while (most := upload_bytes(client)) < UPLOAD_MEMORY / 2 and time.monotonic() < deadline:
                time.sleep(0.05)  # until they are read
            assert UPLOAD_MEMORY / 2 <= most <= UPLOAD_MEMORY
            time.sleep(0.3)
            for connection in held:
                connection.close()


@pytest.mark.slow
def test_a_client_with_large_photographs_does_not_delay_others(index: Path) -> None:
    """380 kilobytes that are 49 megapixels, as often as they are taken."""
    allowed = slower()
    large = png(7000, 7000, bytes(7001 * 7000))
    with (
        served(index, "--rate-limit", "120/minute") as (address, process),
        httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client,
    ):
        assert client.post("/v1/query", content=photo("JPEG")).status_code == 200

        def ask(_: int) -> int:
            headers = {"X-Forwarded-For": "192.0.2.1"}
            return httpx.post(f"{address}/v1/query", content=large, headers=headers, timeout=120).status_code

        with ThreadPoolExecutor(32) as threads:
            asked = threads.map(ask, range(64))
            time.sleep(0.5)
            waits = []
            for _ in range(10):
                started = time.perf_counter()
                other = {"X-Forwarded-For": "192.0.2.2"}
                assert client.post("/v1/query", content=photo("JPEG"), headers=other).status_code == 200
                waits.append(time.perf_counter() - started)
            outcomes = Counter(asked)
        print(f"another client waited {max(waits):.2f} s at most; {outcomes}")
        assert outcomes[429] > outcomes[200] > 0
        assert max(waits) < WAIT_SECONDS * allowed
        assert process.poll() is None


@pytest.mark.slow
def test_random_requests_slow_senders_and_disconnecting_clients_leave_nothing_behind(index: Path) -> None:
    """Three times the same, so that what the last round adds would be a leak."""
    limits = ("--max-pixels", 4_000_000, "--max-upload-bytes", 3_000_000)
    with (
        served(index, *limits, DACO_UPLOAD_SECONDS="2", DACO_DECODE_SECONDS="5") as (address, process),
        httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client,
    ):
        inputs = uploads(dice=200, every=SAMPLE)
        assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
        # of its decoders not all are started yet: each has a file
        files = state(process)[1] + available_cores()
        memory = []
        for _ in range(3):
            throw(client, inputs)
            throw_bytes(client, wires(SAMPLE), patience=15)
            leave_in_every_way(client)
            hold_many_connections(client, 150)
            assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
            assert settled(process, files), f"{state(process)[1]} open files, {files} before"
            files = state(process)[1]
            memory.append(state(process)[0])
        print("memory after each round:", ", ".join(f"{size / 2**20:.0f} MiB" for size in memory))
        assert memory[-1] - memory[-2] < GROWTH_BYTES


def leave_in_every_way(client: httpx.Client) -> None:
    """Clients that go away, half or whole, early or late, politely or not; and ones that send a byte now and then."""
    content = photo("JPEG")
    request = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for sent in (0, 1, 20, 60, len(request) // 2, len(request) - 1, len(request)):
        for goodbye in ("close", "reset", "half"):
            with connect(client) as connection:
                connection.sendall(request[:sent])
                if goodbye == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif goodbye == "half":
                    connection.shutdown(socket.SHUT_WR)
                    line = connection.makefile("rb").readline(100)
                    assert not line.startswith(b"HTTP/1.1 5"), (sent, line)
            results["leaving"][goodbye] += 1
    for pause in (0.01, 0.1, 0.5):
        with connect(client) as connection:
            outcome = "dropped"
            try:
                for at in range(0, len(request), 7):
                    connection.sendall(request[at : at + 7])
                    time.sleep(pause)
                    if at * pause / 7 > 4:  # twice what an upload may take
                        break
                line = connection.makefile("rb").readline(100)
                assert not line.startswith(b"HTTP/1.1 5"), (pause, line)
                outcome = line.split()[1].decode() if line else outcome
            except ConnectionError:
                pass
        results["slow sender"][outcome] += 1
    report(results)


def hold_many_connections(client: httpx.Client, count: int) -> None:
    """Connections that say nothing, or half a head, while others are served; all are closed in the end."""
    held = [connect(client) for _ in range(count)]
    try:
        for connection in held[::2]:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
        for connection in held:
            assert connection.recv(100) == b""
    finally:
        for connection in held:
            connection.close()
    report({"held": Counter({"closed by the server": count})})
