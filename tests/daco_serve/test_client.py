"""The Python client and `daco-serve query` against a real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from daco_core.errors import DacoError
from daco_serve.client.client import AsyncClient, Client, Refused, Unreachable
from daco_serve.http.schemas import Prior, QueryAnswer

from .test_server import daco_serve, one_sentence


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_query_a_prior_and_the_photograph_of_a_match(server: str, photographs: Path) -> None:
    with Client(server) as client:
        answer = client.query(photographs / "3.png", k=2)
        assert answer.matches[0].place == "place 3" and len(answer.matches) == 2
        assert client.query((photographs / "3.png").read_bytes(), k=2).matches == answer.matches
        near = client.query(photographs / "3.png", prior=Prior(latitude=35, longitude=139, metres=5))
        assert [match.place for match in near.matches] == ["place 0"]
        assert client.reference_image(answer.matches[0]) == (photographs / "3.png").read_bytes()
        assert client.reference_image(answer.matches[0], width=32).startswith(b"\xff\xd8")
        assert [(index.name, index.count) for index in client.indexes()] == [("map", 6)]


@pytest.mark.anyio
async def test_the_asynchronous_client_does_the_same(server: str, photographs: Path) -> None:
    async with AsyncClient(server) as client:
        answer = await client.query(photographs / "1.png", k=1)
        assert answer.matches[0].place == "place 1"
        both = await client.query_many([photographs / "2.png", b"no photograph"], k=1)
        assert isinstance(both[0], QueryAnswer) and both[0].matches[0].place == "place 2"
        assert isinstance(both[1], Refused) and (both[1].code, both[1].status) == ("not_an_image", None)
        assert (await client.indexes())[0].count == 6
        assert await client.reference_image(answer.matches[0]) == (photographs / "1.png").read_bytes()
        with pytest.raises(Refused, match="not an image"):
            await client.query(b"no photograph")


def test_more_photographs_than_one_request_takes_are_answered_in_order(server: str, photographs: Path) -> None:
    with Client(server) as client:
        answers = list(client.query_many([photographs / f"{number % 6}.png" for number in range(20)], k=1))
    assert [answer.matches[0].id for answer in answers if isinstance(answer, QueryAnswer)] == [
        number % 6 for number in range(20)
    ]


def test_what_is_refused_says_which_code_and_what_is_no_server_says_so(server: str, photographs: Path) -> None:
    with Client(server, index="none") as client, pytest.raises(Refused) as refused:
        client.query(photographs / "3.png")
    assert (refused.value.code, refused.value.status) == ("unknown_index", 404)
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="daco-serve run"):
        client.indexes()
    for address, reason in (("127.0.0.1:8000", "it begins with http://"), ("http://localhost:80a0", "Invalid port")):
        with pytest.raises(DacoError, match=f"not the address of a server: {reason}"):
            Client(address)
    for key in ("clé", "two\nlines"):
        with pytest.raises(DacoError, match="copy it again"):
            Client(server, key=key)
    with Client(server) as client, pytest.raises(DacoError, match="cannot be read"):
        client.query("nothing.jpg")


@contextmanager
def busy(times: int, status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that has no room for so many requests, and the requests that it saw."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            content = (
                b'{"indexes": []}' if len(seen) > times else b'{"error": {"code": "too_busy", "message": "Busy."}}'
            )
            self.send_response(200 if len(seen) > times else status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing: the tests' output is for failures."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_without_room_is_asked_again_some_times(status: int) -> None:
    with busy(2, status) as (address, seen), Client(address, key="secret") as client:
        assert client.indexes() == []
        assert seen == ["Bearer secret"] * 3
    with busy(9, status) as (address, seen), Client(address) as client:
        with pytest.raises(Refused, match="Busy"):
            client.indexes()
        assert len(seen) == 4


def test_it_is_light_to_import() -> None:
    code = (
        "import sys, daco_serve.client; print([name for name in ('torch', 'faiss', 'fastapi') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_several_photographs_give_a_line_each_and_a_bad_one_its_error(server: str, photographs: Path) -> None:
    good = photographs / "2.png"
    result = daco_serve("query", good, Path(__file__), "--url", server)
    assert result.returncode == 1
    assert "place" in result.stdout and "not an image" in result.stdout
    parsed = daco_serve("query", good, Path(__file__), "--url", server, "--json")
    answers = json.loads(parsed.stdout)
    assert parsed.returncode == 1
    assert answers[0]["matches"][0]["id"] == 2 and answers[1]["error"]["code"] == "not_an_image"


def test_the_command_takes_an_index_and_a_prior(server: str, photographs: Path) -> None:
    image = photographs / "3.png"
    result = daco_serve("query", image, "--url", server, "--prior", "35,139,5", "--index", "map", "--json")
    assert [match["place"] for match in json.loads(result.stdout)[0]["matches"]] == ["place 0"]
    assert "LATITUDE,LONGITUDE,METRES" in one_sentence(daco_serve("query", image, "--url", server, "--prior", "35,139"))
    assert "'none'" in one_sentence(daco_serve("query", image, "--url", server, "--index", "none"))
