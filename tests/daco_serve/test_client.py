"""The Python client and `daco-serve query` against a real server."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from daco_core.errors import DacoError
from daco_serve.client import AsyncClient, Client, Refused, Unreachable
from daco_serve.http.schemas import IndexesAnswer, Prior, QueryAnswer, RequestLimits

from .conftest import served
from .test_server import daco_serve, one_sentence

LIMITS = RequestLimits(max_k=100, photograph_bytes=2**20, batch_photographs=16, batch_bytes=2**24)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_client_queries_with_a_prior_and_gets_the_photograph_of_a_match(server: str, photographs: Path) -> None:
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
        both = [one async for one in client.query_many([photographs / "2.png", b"no photograph"], k=1)]
        assert isinstance(both[0], QueryAnswer) and both[0].matches[0].place == "place 2"
        assert isinstance(both[1], Refused) and (both[1].code, both[1].status) == ("not_an_image", None)
        assert (await client.indexes())[0].count == 6
        assert await client.reference_image(answer.matches[0]) == (photographs / "1.png").read_bytes()
        with pytest.raises(Refused, match="not an image"):
            await client.query(b"no photograph")


def test_more_photographs_than_one_request_accepts_are_answered_in_order(server: str, photographs: Path) -> None:
    with Client(server) as client:
        answers = list(client.query_many([photographs / f"{number % 6}.png" for number in range(20)], k=1))
    assert [answer.matches[0].id for answer in answers if isinstance(answer, QueryAnswer)] == [
        number % 6 for number in range(20)
    ]


@pytest.fixture(scope="module")
def narrow(index: Path) -> Iterator[str]:
    """A server that accepts three photographs or 8 KiB in a batch, and 20 photographs in a second."""
    options = ("--max-images", 3, "--max-batch-bytes", 8192, "--max-upload-bytes", 4096, "--rate-limit", "20/second")
    with served(index, *options) as (address, _):
        yield address


def test_a_server_states_its_limits(narrow: str) -> None:
    with Client(narrow) as client:
        limits = client.limits()
        assert (limits.batch_photographs, limits.batch_bytes, limits.photograph_bytes) == (3, 8192, 4096)
        assert limits.max_k == 100


def test_requests_fit_the_servers_limits_and_wait_for_capacity(narrow: str, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(4097))
    asked = [photographs / f"{number % 6}.png" for number in range(30)]
    asked.insert(4, tmp_path / "large.png")
    with Client(narrow) as client:
        answers = list(client.query_many(asked, k=1))  # more than are allowed in a second: it waits
    large = answers.pop(4)
    assert isinstance(large, Refused) and large.code == "image_too_large" and "at most 4096" in str(large)
    assert places(answers) == [f"place {number % 6}" for number in range(30)]


@pytest.mark.anyio
async def test_the_asynchronous_client_holds_only_the_files_of_open_requests(narrow: str, photographs: Path) -> None:
    taken = 0

    def asked() -> Iterator[Path]:
        nonlocal taken
        for number in range(18):
            taken += 1
            yield photographs / f"{number % 6}.png"

    answers = []
    async with AsyncClient(narrow) as client:
        async for answer in client.query_many(asked(), k=1, in_flight=2):
            if not answers:
                assert taken <= 2 * 3 + 2, "two batches, and the photograph that showed each of them to be full"
            answers.append(answer)
    assert taken == 18 and places(answers) == [f"place {number % 6}" for number in range(18)]


@pytest.mark.anyio
async def test_stopping_early_leaves_no_request_running(narrow: str, photographs: Path) -> None:
    before = asyncio.all_tasks()
    async with AsyncClient(narrow) as client:
        answers = client.query_many([photographs / "1.png"] * 12, k=1)
        assert isinstance(await anext(answers), QueryAnswer)
        await answers.aclose()
        assert asyncio.all_tasks() == before


def places(answers: list[QueryAnswer | Refused]) -> list[str]:
    return [answer.matches[0].place if isinstance(answer, QueryAnswer) else str(answer) for answer in answers]


def test_rejections_have_a_code_and_a_missing_server_is_reported(server: str, photographs: Path) -> None:
    with Client(server, index="none") as client, pytest.raises(Refused) as refused:
        client.query(photographs / "3.png")
    assert (refused.value.code, refused.value.status) == ("unknown_index", 404)
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="daco-serve run"):
        client.indexes()
    for address, reason in (
        ("127.0.0.1:8000", "it must begin with http://"),
        ("http://localhost:80a0", "Invalid port"),
        ("http://", "it does not name a host"),
    ):
        with pytest.raises(DacoError, match=f"not the address of a server: {reason}"):
            Client(address)
    for key in ("clé", "two\nlines"):
        with pytest.raises(DacoError, match="copy it again"):
            Client(server, key=key)
    with Client(server) as client, pytest.raises(DacoError, match="cannot be read"):
        client.query("nothing.jpg")


@contextmanager
def busy(times: int, status: int, retry_after: str = "0") -> Iterator[tuple[str, list[str]]]:
    """A server that has no room for so many requests, and the requests that it saw."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            content = (
                IndexesAnswer(indexes=[], failed=[], limits=LIMITS).model_dump_json().encode()
                if len(seen) > times
                else b'{"error": {"code": "too_busy", "message": "Busy."}}'
            )
            self.send_response(200 if len(seen) > times else status)
            self.send_header("Retry-After", retry_after)
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
def test_a_busy_server_is_asked_again_until_patience_ends(status: int) -> None:
    with busy(2, status) as (address, seen), Client(address, key="secret") as client:
        assert client.indexes() == []
        assert seen == ["Bearer secret"] * 3
    with busy(99, status) as (address, seen), Client(address, patience=0.35) as client:
        with pytest.raises(Refused, match="Busy"):
            client.indexes()
        assert len(seen) == 4
    with busy(1, status, retry_after="3600") as (address, seen), Client(address) as client:
        with pytest.raises(Refused, match="Busy"):  # longer than its patience: at once
            client.indexes()
        assert len(seen) == 1


def test_several_photographs_give_a_line_each_and_a_bad_one_its_error(server: str, photographs: Path) -> None:
    good = photographs / "2.png"
    result = daco_serve("query", good, Path(__file__), "--url", server)
    assert result.returncode == 1
    assert "place" in result.stdout and "not an image" in result.stdout
    parsed = daco_serve("query", good, Path(__file__), "--url", server, "--json")
    answers = json.loads(parsed.stdout)
    assert parsed.returncode == 1
    assert answers[0]["matches"][0]["id"] == 2 and answers[1]["error"]["code"] == "not_an_image"


def test_the_command_accepts_an_index_and_a_prior(server: str, photographs: Path) -> None:
    image = photographs / "3.png"
    result = daco_serve("query", image, "--url", server, "--prior", "35,139,5", "--index", "map", "--json")
    assert [match["place"] for match in json.loads(result.stdout)[0]["matches"]] == ["place 0"]
    assert "LATITUDE,LONGITUDE,METRES" in one_sentence(daco_serve("query", image, "--url", server, "--prior", "35,139"))
    assert "'none'" in one_sentence(daco_serve("query", image, "--url", server, "--index", "none"))
