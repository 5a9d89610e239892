"""Limits on requests before authentication, enforced while bytes arrive, on real sockets."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daco_serve.http.protocol.limits import (
    CHUNK_EXCESS_BYTES,
    HEAD_BYTES,
    HEAD_FIELDS,
    LINGER_BYTES,
    MOST_WAITING,
    URL_BYTES,
)
from daco_serve.operation.keys import KeyFile

from .conftest import hosted
from .test_refusals import encoded

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    return keys.path, keys.add("robot")


@pytest.fixture(scope="module")
def address(index: Path, key: tuple[Path, str]) -> Iterator[str]:
    with hosted(index, keys=key[0]) as address:
        yield address


def connect(address: str) -> socket.socket:
    return socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=20)


def replies(connection: socket.socket) -> list[Reply]:
    """All answers of a connection that the server closes."""
    received = bytearray()
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            received += part
    found = []
    while received:
        head, _, rest = bytes(received).partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        found.append(Reply(int(line.split()[1]), headers, rest[:length]))
        received = bytearray(rest[length:])
    return found


def ask(address: str, content: bytes) -> list[Reply]:
    with connect(address) as connection:
        with suppress(ConnectionError):  # refused before all was sent
            connection.sendall(content)
        return replies(connection)


def refused(reply: Reply, status: int, code: str) -> None:
    """It has the one form that every refusal has."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    error = json.loads(reply.body)["error"]
    assert error["code"] == code and error["message"].endswith(".")
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-request-id"] and reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (GET + b"X: " + b"a" * (HEAD_BYTES + 10) + b"\r\n\r\n", 431, "head_too_large"),
        (GET + b"X: " + b"a" * (HEAD_BYTES * 3), 431, "head_too_large"),
        (GET + b"a" * (HEAD_BYTES * 3), 431, "head_too_large"),
        (GET + b"X: y\r\n" * HEAD_FIELDS + b"\r\n", 431, "head_too_large"),
        (GET + b"X: y\r\n" * (4 * HEAD_FIELDS), 431, "head_too_large"),
        (GET + b"X: " + b"a\r\n " * (HEAD_BYTES // 2), 400, "bad_request"),  # llhttp takes no folded lines
        (b"GET /" + b"a" * URL_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "address_too_long"),
        (b"GET /?" + b"a" * (20 * URL_BYTES), 414, "address_too_long"),
        (b"\r\n" * HEAD_BYTES, 431, "head_too_large"),
        (CHUNKED + b"\r\n3\r\nabc\r\n0\r\n" + b"X: y\r\n" * (HEAD_FIELDS + 1) + b"\r\n", 431, "head_too_large"),
        (CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX: " + b"a" * (4 * CHUNK_EXCESS_BYTES), 431, "head_too_large"),
        (CHUNKED + b"\r\n3\r\nabc\r\n0\r\n" + b"a" * (4 * CHUNK_EXCESS_BYTES), 431, "head_too_large"),
        (CHUNKED + b"\r\n3;" + b"a" * (4 * CHUNK_EXCESS_BYTES) + b"\r\nabc\r\n0\r\n\r\n", 431, "head_too_large"),
        (CHUNKED + b"\r\n" + (b"1;" + b"a" * 60 + b"\r\nx\r\n") * 1500, 431, "head_too_large"),
        (CHUNKED + b"\r\nzz\r\n", 400, "bad_request"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (GET + b"Host: example.org\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_request"),
        (b"GET /v1/query?prior=35, 139, 200 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
        (b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
    ],
)
def test_requests_too_large_to_be_read_are_rejected_without_a_key(
    address: str, content: bytes, status: int, code: str
) -> None:
    keyed = content.replace(b"Host: localhost\r\n", b"Host: localhost\r\nX-API-Key: nobody\r\n", 1)
    for text in (content, keyed):
        reply, *more = ask(address, text)
        refused(reply, status, code)
        assert not more
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_heads_below_the_limits_and_bodies_in_small_chunks_are_accepted(address: str, key: tuple[Path, str]) -> None:
    fields = b"X: y\r\n" * (HEAD_FIELDS - 3) + b"Connection: close\r\n\r\n"
    assert ask(address, GET + b"Y: " + b"a" * (HEAD_BYTES - 2000) + b"\r\n" + fields)[0].status == 200
    assert ask(address, b"GET /?" + b"a" * (URL_BYTES - 10) + b" HTTP/1.0\r\n\r\n")[0].status == 200
    content = encoded("PNG")
    head = CHUNKED + b"Connection: close\r\nX-API-Key: " + key[1].encode() + b"\r\n\r\n"
    for size in (1, 3, 50):
        chunks = (content[at : at + size] for at in range(0, len(content), size))
        body = b"".join(b"%x;last=no\r\n" % len(chunk) + chunk + b"\r\n" for chunk in chunks)
        assert ask(address, head + body + b"0\r\nX-Sum: 7\r\n\r\n")[0].status == 200, size


def test_a_trailer_is_not_part_of_the_head(address: str, key: tuple[Path, str]) -> None:
    """A key, or whatever else decides who asks, counts in the head only."""
    trailer = b"X-API-Key: " + key[1].encode() + b"\r\n\r\n"
    reply = ask(address, CHUNKED + b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\n" + trailer)[0]
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (401, "key_missing")


def test_requests_before_an_invalid_one_are_answered_first(address: str) -> None:
    found = ask(address, GET + b"\r\n" + GET + b"\r\nnonsense\r\n\r\n")
    assert [reply.status for reply in found] == [200, 200, 400]
    refused(found[-1], 400, "bad_request")


def test_a_connection_may_not_pile_up_requests(address: str) -> None:
    found = ask(address, (GET + b"\r\n") * (3 * MOST_WAITING))
    assert {reply.status for reply in found[:-1]} == {200}
    assert len(found) <= MOST_WAITING + 2
    refused(found[-1], 400, "bad_request")
    with connect(address) as connection:  # in turn it may ask as often as it likes
        for _ in range(3 * MOST_WAITING):
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_rejected_client_that_continues_to_send_is_disconnected(address: str) -> None:
    with connect(address) as connection, pytest.raises(ConnectionError):
        for _ in range(40 * LINGER_BYTES // 100_000):
            connection.sendall(b"X: " + b"a" * 100_000)
