"""Uploads share slots and bytes fairly between clients, and never exceed the total."""

import gc
import json
import os
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daco_core.errors import DacoError
from daco_serve.http.uploads import admission
from daco_serve.operation.settings import ServeSettings, load_settings

from .conftest import hosted, served
from .hostile import png
from .test_refusals import encoded, refused

MIB = 2**20


def connect(address: str) -> socket.socket:
    return socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=20)


def begin(address: str, client: str, content: bytes, size: int, path: str = "/v1/query") -> socket.socket:
    """An upload that stops after `content`, of a client behind a proxy."""
    connection = connect(address)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


@contextmanager
def stalled(
    address: str, clients: list[str], content: bytes = b"half", size: int = 1000
) -> Iterator[list[socket.socket]]:
    connections = [begin(address, client, content, size) for client in clients]
    try:
        time.sleep(0.3)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def answer(connection: socket.socket) -> tuple[int, str]:
    """Status and code of what the server says at last."""
    text = connection.makefile("rb").read().decode()
    found = re.match(r"HTTP/1.1 (\d+)", text)
    assert found, text
    return int(found[1]), json.loads(text.partition("\r\n\r\n")[2])["error"]["code"]


def ask(address: str, client: str) -> httpx.Response:
    return httpx.post(f"{address}/v1/query", content=encoded("PNG"), headers={"X-Forwarded-For": client}, timeout=20)


def test_a_client_with_every_place_gives_one_to_a_client_without(index: Path) -> None:
    with hosted(index, max_waiting=6) as address, stalled(address, ["192.0.2.1"] * 6) as connections:
        for other in ("192.0.2.2", "192.0.2.3"):
            assert ask(address, other).status_code == 200
        connections[0].settimeout(20)
        assert answer(connections[0]) == (503, "upload_gave_way")  # that which was silent longest
        # what is left of the places goes on
        with stalled(address, ["192.0.2.4"]):
            assert ask(address, "192.0.2.5").status_code == 200


def test_a_client_does_not_displace_its_own_uploads_before_they_stall(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosted(index, max_waiting=2) as address, stalled(address, ["192.0.2.1"] * 2):
        refused(ask(address, "192.0.2.1"), 503, "too_busy")
        monkeypatch.setattr(admission, "STALLED_SECONDS", 0.05)
        assert ask(address, "192.0.2.1").status_code == 200


def test_clients_with_one_place_each_keep_it_until_they_stall(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hosted(index, max_waiting=2) as address, stalled(address, ["192.0.2.1", "192.0.2.2"]):
        refused(ask(address, "192.0.2.3"), 503, "too_busy")
        monkeypatch.setattr(admission, "STALLED_SECONDS", 0.05)
        assert ask(address, "192.0.2.3").status_code == 200


def test_an_upload_that_stalls_or_crawls_is_stopped_long_before_its_time_limit(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SILENT_SECONDS", 0.5)
    with hosted(index, upload_rate=100_000) as address:
        with begin(address, "192.0.2.1", b"half", 1000) as silent:
            assert answer(silent) == (408, "upload_too_slow")
        with begin(address, "192.0.2.1", b"", 10_000) as crawling:
            started = time.monotonic()
            with pytest.raises(ConnectionError):
                while time.monotonic() < started + 10:
                    crawling.sendall(b"x" * 50)
                    time.sleep(0.1)
        with begin(address, "192.0.2.1", b"", 600_000) as quick:
            for _ in range(20):
                quick.sendall(bytes(30_000))
                time.sleep(0.05)
            assert quick.recv(100).startswith(b"HTTP/1.1 415")  # read to its end: it is no image


def test_uploads_together_hold_at_most_the_allowed_bytes(index: Path) -> None:
    """Each of these is allowed; all together are not. What they hold is in the metrics, and gone with them."""
    budget, size, number = 32 * MIB, 4 * MIB, 30
    with served(index, "--max-upload-bytes", 8 * MIB, "--upload-memory", budget, DACO_MAX_BATCH_BYTES=str(8 * MIB)) as (
        address,
        process,
    ):
        assert ask(address, "192.0.2.1").status_code == 200
        before = _memory(process.pid)
        most_held = most_memory = 0.0
        connections: list[socket.socket] = []
        outcomes: list[bytes] = []

        def send(client: int) -> None:
            connection = begin(address, f"192.0.2.{client}", b"", size)
            connections.append(connection)
            try:
                connection.sendall(bytes(size - 1))
                connection.settimeout(2)
                outcomes.append(connection.recv(12))
            except TimeoutError:
                outcomes.append(b"held")
            except ConnectionError:
                outcomes.append(b"closed")

        threads = [threading.Thread(target=send, args=(client,)) for client in range(2, 2 + number)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most_held = max(most_held, _held(address))
            most_memory = max(most_memory, _memory(process.pid) - before)
            time.sleep(0.05)
        assert budget / 2 < most_held <= budget
        assert most_memory < budget + 24 * MIB  # with what is on its way between a socket and its upload
        assert outcomes.count(b"HTTP/1.1 503") + outcomes.count(b"closed") >= number // 3
        for connection in connections:
            connection.close()
        deadline = time.monotonic() + 10
        while _held(address) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _held(address) == 0
        assert ask(address, "192.0.2.1").status_code == 200


def test_the_client_with_the_most_bytes_gives_way(index: Path) -> None:
    sizes = {"max_upload_bytes": 2 * MIB, "max_batch_bytes": 2 * MIB, "upload_memory": 8 * MIB}
    part, whole = bytes(1_500_000), 1_900_000
    with hosted(index, **sizes) as address, stalled(address, ["192.0.2.1"] * 5, part, whole) as connections:
        with begin(address, "192.0.2.2", part, 1_500_000) as other:
            assert other.recv(100).startswith(b"HTTP/1.1 415")  # it was read
        held = [connection for connection in connections if _is_open(connection)]
        assert 0 < len(held) < 5


def test_a_photograph_of_many_pixels_counts_as_several_queries(index: Path) -> None:
    large = png(5000, 4000, bytes(100), depth=1)  # 20 megapixels, of which only the head is there
    with hosted(index, rate_limit="5/minute") as address:
        for status, code in ((422, "image_truncated"), (422, "image_truncated"), (429, "too_many_requests")):
            refused(httpx.post(f"{address}/v1/query", content=large), status, code)
    with hosted(index, rate_limit="1/minute") as address:  # no photograph is refused for ever
        refused(httpx.post(f"{address}/v1/query", content=large), 422, "image_truncated")


def test_a_client_with_large_photographs_does_not_delay_others(index: Path) -> None:
    large = png(5000, 5000, bytes(5001 * 5000), depth=8)
    with hosted(index, workers=os.cpu_count() or 1) as address:  # so that it has one thread to decode
        connections = [begin(address, "192.0.2.1", large, len(large)) for _ in range(8)]
        time.sleep(0.2)
        started = time.monotonic()
        assert ask(address, "192.0.2.2").status_code == 200
        ours = time.monotonic() - started
        connections[-1].settimeout(60)
        assert connections[-1].recv(100).startswith(b"HTTP/1.1 200")
        assert ours < (time.monotonic() - started) / 2  # it did not wait for all of them
        for connection in connections:
            connection.close()


def test_an_upload_memory_smaller_than_one_upload_is_rejected() -> None:
    with pytest.raises(DacoError, match="--upload-memory"):
        load_settings({"index": "x", "upload_memory": 1000})
    with pytest.raises(DacoError, match="UPLOAD_MEMORY"):
        load_settings({"index": "x", "max_upload_bytes": 10**9})
    assert ServeSettings(index="x", upload_memory=10**9, max_upload_bytes=10**8).upload_memory == 10**9  # type: ignore[arg-type]


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.5)
    try:
        connection.recv(1)
        return False  # it was answered or closed
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def _held(address: str) -> float:
    text = httpx.get(f"{address}/metrics", timeout=20).text
    found = re.search(r"^daco_upload_bytes (\S+)", text, re.MULTILINE)
    assert found
    return float(found[1])


def _memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no memory in /proc")


@pytest.fixture(scope="module")
def small(index: Path) -> Iterator[str]:
    with hosted(index, max_upload_bytes=MIB, max_batch_bytes=2 * MIB) as address:
        yield address


@pytest.mark.parametrize("outcome", ["image_too_large", "image_truncated", "no_image", "bad_form", "answered"])
@pytest.mark.parametrize("form", [False, True])
def test_nothing_of_an_upload_stays_in_memory_after_its_answer(small: str, outcome: str, form: bool) -> None:
    """Without a garbage collection: what waits for one is memory that no budget counts."""
    content = {
        "image_too_large": bytes(MIB + 1000),
        "image_truncated": b"\xff\xd8\xff" + bytes(MIB - 1000),
        "answered": encoded("PNG") + bytes(MIB - 100_000),
    }.get(outcome, bytes(MIB - 1000))
    if outcome in ("no_image", "bad_form") and not form:
        pytest.skip("only a form can be so")
    field, last = ("other" if outcome == "no_image" else "image"), (b"" if outcome == "bad_form" else b"--x--\r\n")
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a"\r\n\r\n'.encode()
    body = head + content + b"\r\n" + last if form else content
    headers = {"Content-Type": "multipart/form-data; boundary=x"} if form else {}
    for _ in range(2):  # until all that is made once is made
        httpx.post(f"{small}/v1/query", content=body, headers=headers)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(8):
            answer = httpx.post(f"{small}/v1/query", content=body, headers=headers)
            assert (answer.json()["error"]["code"] if answer.is_error else "answered") == outcome
        time.sleep(0.2)
        assert tracemalloc.get_traced_memory()[0] - before < 2 * MIB
    finally:
        tracemalloc.stop()
        gc.enable()
