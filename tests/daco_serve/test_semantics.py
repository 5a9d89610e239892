"""HEAD, ranges and errors follow RFC 9110 at every address."""

from pathlib import Path

import httpx
import pytest

from .conftest import hosted
from .test_refusals import refused

IMAGE = "/v1/references/2/image"
FILES = (IMAGE, "/web/app.js", "/static-offline-docs/swagger-ui.css", "/")


@pytest.mark.parametrize(
    "address", [*FILES, f"{IMAGE}?width=50", "/v1/references/2", "/v1/indexes", "/readyz", "/docs"]
)
def test_head_is_answered_wherever_get_is(client: httpx.Client, address: str) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert head.headers.get("content-length") == got.headers.get("content-length")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert client.get("/healthz").status_code == 200  # on the same connection: nothing of a content was sent


def test_head_is_rejected_wherever_get_is(client: httpx.Client) -> None:
    for address, status in (("/nothing", 404), ("/v1/query", 405), ("/v1/references/99", 404)):
        assert client.head(address).status_code == status


@pytest.mark.parametrize("address", FILES)
def test_one_range_of_bytes_is_sent(client: httpx.Client, address: str) -> None:
    whole = client.get(address).content
    for given, part in (
        ("bytes=0-9", whole[:10]),
        ("bytes=5-5", whole[5:6]),
        ("bytes=10-", whole[10:]),
        ("bytes=-7", whole[-7:]),
        ("Bytes = 0-1", whole[:2]),
        (f"bytes=3-{10**17}", whole[3:]),
    ):
        answer = client.get(address, headers={"Range": given})
        assert (answer.status_code, answer.content) == (206, part), given
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")


@pytest.mark.parametrize("address", FILES)
def test_an_invalid_range_is_ignored(client: httpx.Client, address: str) -> None:
    whole = client.get(address).content
    for given in (
        "bits=0-1", "bytes=5-3", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "bytes=0-1,5-3", "0-1",
        "=", "", "bytes=1-2-3", "bytes=+1-2", "bytes=\u0661-2", "bytes=" + "9" * 4000 + "-", "bytes=0-,-1," * 1000,
    ):  # fmt: skip
        answer = client.get(address, headers=[(b"Range", given.encode())])
        assert (answer.status_code, answer.content) == (200, whole), given
    assert client.get(address, headers=[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]).content == whole


@pytest.mark.parametrize("address", FILES)
def test_a_range_beyond_the_end_is_rejected_in_the_common_form(client: httpx.Client, address: str) -> None:
    size = len(client.get(address).content)
    for given in (f"bytes={size}-", "bytes=999999999-", "bytes=-0"):
        answer = client.get(address, headers={"Range": given})
        refused(answer, 416, "range_not_satisfiable")
        assert answer.headers["content-range"] == f"bytes */{size}"


def test_every_error_has_the_common_form(client: httpx.Client, index: Path) -> None:
    refused(client.get("/web/nothing.js"), 404, "not_found")
    refused(client.post("/web/app.js"), 405, "method_not_allowed")
    refused(client.get("/static-offline-docs/nothing"), 404, "not_found")
    refused(client.request("BREW", "/v1/query"), 400, "bad_request")
    ask = {"Access-Control-Request-Method": "POST", "Origin": "https://evil.example"}
    with hosted(index, cors_origins="https://maps.example") as address:
        refused(httpx.options(f"{address}/v1/query", headers=ask), 400, "bad_request")
