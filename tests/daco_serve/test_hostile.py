"""Nothing that a stranger sends crashes the server, hangs it, makes it leak, or gets a 5xx.

`pytest tests/daco_serve/test_hostile.py -s` prints how many inputs of each kind there were and what became of them.
"""

import socket
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import served
from .hostile import Hostile, Wire, photo, uploads, wires

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for leaks in /proc")

ANSWER_SECONDS = 30  # for one input on a machine that is busy; a decoder is ended long before
GROWTH_BYTES = 32 * 2**20  # that the last round may add to the server's memory
NO_ANSWER = "closed"

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
            connection.sendall(content)
            connection.settimeout(patience)  # some wait for the rest of what they were promised
            line = connection.makefile("rb").readline(100)
        except TimeoutError:
            return "still waiting"
        except ConnectionError:
            return NO_ANSWER
    return line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else NO_ANSWER


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
    """The same with requests that are none: each is refused or dropped, and others are served meanwhile."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for wire in inputs:
        outcome = exchange(client, wire.content, patience)
        assert outcome[0] != "5", (wire.name, outcome)
        results[wire.kind][outcome] += 1
        assert client.get("/healthz").status_code == 200, wire.name
    report(results)


def test_every_hostile_upload_is_answered_and_none_with_a_5xx(client: httpx.Client) -> None:
    inputs = uploads()
    assert len(inputs) + len(wires()) >= 400
    before = client.post("/v1/query", content=photo("JPEG")).json()["matches"]
    throw(client, inputs)
    assert client.post("/v1/query", content=photo("JPEG")).json()["matches"] == before


def test_every_request_that_is_none_is_refused_or_dropped(client: httpx.Client) -> None:
    throw_bytes(client, wires(), patience=0.3)


@pytest.mark.slow
def test_hundreds_of_dice_slow_senders_and_leavers_leave_nothing_behind(index: Path) -> None:
    """Three times the same, so that what the last round adds would be a leak."""
    limits = ("--max-pixels", 4_000_000, "--max-upload-bytes", 3_000_000)
    with (
        served(index, *limits, DACO_UPLOAD_SECONDS="2", DACO_DECODE_SECONDS="5") as (address, process),
        httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client,
    ):
        inputs = uploads(dice=200)
        assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
        files = state(process)[1]
        memory = []
        for _ in range(3):
            throw(client, inputs)
            throw_bytes(client, wires(), patience=15)
            leave_in_every_way(client)
            hold_many_connections(client, 150)
            assert client.post("/v1/query", content=photo("JPEG")).status_code == 200
            assert settled(process, files), f"{state(process)[1]} open files, {files} at first"
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
