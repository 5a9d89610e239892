"""Client addresses, proxies, and the origins of pages."""

from pathlib import Path

import httpx
import pytest

from daco_core.errors import DacoError
from daco_serve.http.middleware.forwarded import Forwarded
from daco_serve.operation.addresses import plain_address
from daco_serve.operation.settings import load_settings

from .conftest import hosted
from .test_refusals import encoded, refused

EVIL = "https://evil.example"


def test_a_form_from_another_site_is_not_processed(client: httpx.Client, server: str) -> None:
    form = {"image": encoded("PNG")}
    for headers in (
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": server, "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://[", "Sec-Fetch-Mode": "cors"},
    ):
        for path in ("/v1/query", "/v1/query/batch", "/geopose"):
            refused(client.post(path, files=form, headers=headers), 403, "wrong_origin")
    for headers in ({}, {"Origin": server}, {"Origin": server, "Sec-Fetch-Site": "same-origin"}):
        assert client.post("/v1/query", files=form, headers=headers).status_code == 200, headers
    # behind a proxy that does not pass the Host on, the browser's own word counts
    headers = {"Origin": "https://maps.example", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/query", files=form, headers=headers).status_code == 200


def test_other_sites_may_not_show_the_photographs_unless_allowed(client: httpx.Client, index: Path) -> None:
    for path in ("/v1/references/0/image", "/v1/references/0", "/", "/nothing"):
        assert client.get(path).headers["cross-origin-resource-policy"] == "same-origin"
    with hosted(index, cors_origins="https://maps.example") as address:
        image = httpx.get(f"{address}/v1/references/0/image")
        assert image.headers["cross-origin-resource-policy"] == "cross-origin"
        for origin, status in (("https://maps.example", 200), (EVIL, 403)):
            headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            assert httpx.post(f"{address}/v1/query", content=encoded("PNG"), headers=headers).status_code == status


@pytest.mark.parametrize(
    ("peer", "trusted", "named", "client"),
    [
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("::FFFF:7f00:1", "127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1:443"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", ["a stranger's text\x1b[31m"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.9, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1, 192.0.2.0/24", ["198.51.100.7, 192.0.2.1"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7", "192.0.2.1"], "192.0.2.1"),
        ("192.0.2.9", "127.0.0.1", ["192.0.2.1"], "192.0.2.9"),
        ("192.0.2.9", "*", ["198.51.100.7, 192.0.2.1"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1, " + "127.0.0.1, " * 1000 + "127.0.0.1"], "127.0.0.1"),
        ("127.0.0.1", "", ["192.0.2.1"], "127.0.0.1"),
    ],
)
@pytest.mark.anyio
async def test_a_client_address_comes_from_a_trusted_proxy_and_is_never_other_text(
    peer: str, trusted: str, named: list[str], client: str
) -> None:
    seen = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        seen.append(scope["client"][0])  # type: ignore[index]

    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in named]
    await Forwarded(app, trusted)({"type": "http", "client": (peer, 1), "headers": headers}, None, None)  # type: ignore[arg-type]
    assert seen == [client]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_client_address_has_one_spelling() -> None:
    assert plain_address("::ffff:127.0.0.1") == plain_address("127.0.0.1") == "127.0.0.1"
    assert plain_address("2001:0db8:0::1") == "2001:db8::1"
    assert plain_address("a socket") == "a socket"


def test_invalid_settings_of_sites_and_proxies_are_rejected() -> None:
    tiles = "https://tile.example.org/{z}/{x}/{y}.png"
    assert load_settings({"index": "x", "tiles": tiles}).tiles == tiles
    for wrong in (
        tiles + "\n",
        tiles.replace("org", "org\n"),
        tiles.replace("tile", "t\til\re"),
        tiles + " ",
        "https://t\u00e9.org/{z}{x}{y}",
    ):
        with pytest.raises(DacoError, match="tile"):
            load_settings({"index": "x", "tiles": wrong})
    for proxies in ("proxy.example", "127.0.0.1 192.0.2.1", "1.2.3.4/99", "*, 127.0.0.1"):
        with pytest.raises(DacoError, match="trusted"):
            load_settings({"index": "x", "trusted_proxies": proxies})
