"""Idle and slow connections are closed, whatever the client does to keep them open."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daco_serve.http.protocol import timeouts as connections

from .conftest import hosted
from .test_refusals import encoded

PATIENCE = 0.5


@pytest.fixture(scope="module")
def address(index: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEAD_SECONDS", PATIENCE)
        patch.setattr(connections, "SEND_SECONDS", PATIENCE)
        with hosted(index) as address:
            yield address


def connect(address: str) -> socket.socket:
    connection = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=20)
    connection.settimeout(20)
    return connection


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def seconds_until_closed(connection: socket.socket) -> float:
    start = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"P",
        b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",
    ],
    ids=["silent", "a letter", "half a head", "half a second head"],
)
def test_a_connection_without_a_request_head_is_closed(address: str, beginning: bytes) -> None:
    with connect(address) as connection:
        connection.sendall(beginning)
        assert seconds_until_closed(connection) < PATIENCE + 5


def test_a_connection_whose_request_head_trickles_in_is_closed(address: str) -> None:
    with connect(address) as connection:
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            for letter in b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 10_000:
                connection.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.monotonic() - start < PATIENCE + 5


def test_a_rejected_upload_cannot_continue_for_ever(address: str) -> None:
    with connect(address) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(b"x" * 100)
                time.sleep(0.05)
        assert time.monotonic() - start < PATIENCE + 5


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")
def test_a_client_that_does_not_read_its_answers_is_disconnected(address: str) -> None:
    ask = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(address) as connection:
        time.sleep(0.2)  # until it is accepted
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = open_files()
        connection.sendall(ask * 20)
        deadline = time.monotonic() + 20
        while open_files() >= before and time.monotonic() < deadline:  # the server runs in this process
            time.sleep(0.1)
        assert open_files() < before


def test_a_slow_but_steady_client_is_served(address: str) -> None:
    content = encoded("PNG")
    with connect(address) as connection:
        head = (
            f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection.sendall(head.encode())
        for start in range(0, len(content), len(content) // 10):
            connection.sendall(content[start : start + len(content) // 10])
            time.sleep(PATIENCE / 5)
        assert connection.makefile("rb").readline().split()[1] == b"200"
    with httpx.Client(base_url=address) as client:
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            time.sleep(PATIENCE * 0.7)
