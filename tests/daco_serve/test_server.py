"""The command starts, stops, reports errors and reloads as documented."""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_serve.http.app import WEB, create_app
from daco_serve.operation.settings import ServeSettings, load_settings

from .conftest import COMMAND, served
from .test_refusals import refused


def daco_serve(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def one_sentence(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 1 and not result.stdout
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_a_missing_index_is_reported_in_one_sentence(tmp_path: Path) -> None:
    assert "daco-index build" in one_sentence(daco_serve("run", "--index", tmp_path / "nothing", "--port", 0))


def test_a_missing_index_option_is_reported_in_one_sentence() -> None:
    assert "DACO_INDEX" in one_sentence(daco_serve("run"))


def test_an_impossible_setting_is_named_as_option_or_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DACO_MAX_WAITING", "0")
    with pytest.raises(DacoError, match=r"^DACO_MAX_WAITING cannot be '0'"):
        load_settings({"index": "maps"})
    with pytest.raises(DacoError, match=r"^--max-k "):
        load_settings({"index": "maps", "max_k": 0})


def test_a_damaged_index_is_reported_in_one_sentence_with_the_file(own_index: Path) -> None:
    weights = own_index / "generations" / "1" / "encoder" / "model.safetensors"
    weights.unlink()
    assert str(weights) in one_sentence(daco_serve("run", "--index", own_index, "--port", 0))


def test_a_port_in_use_is_reported_in_one_sentence(index: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in one_sentence(daco_serve("run", "--index", index, "--port", port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_stopped_right_after_its_start_exits_cleanly(index: Path, number: int) -> None:
    with served(index) as (_, process):
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.splitlines() == ["Stopped."]


def test_settings_can_come_from_the_environment(index: Path, photographs: Path) -> None:
    with served(index, "--max-k", 4, DACO_K="2", DACO_RELOAD_SECONDS="60") as (address, _):
        content = (photographs / "0.png").read_bytes()
        assert len(httpx.post(f"{address}/v1/query", content=content).json()["matches"]) == 2
        refused(httpx.post(f"{address}/v1/query?k=5", content=content), 422, "bad_k")


def test_healthz_and_readyz_describe_the_server(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert (ready["index"]["generation"], ready["index"]["count"]) == (1, 6)


@pytest.mark.anyio
async def test_before_the_index_is_loaded_the_server_is_alive_but_not_ready(index: Path) -> None:
    transport = httpx.ASGITransport(create_app(ServeSettings(index=index)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/healthz")).status_code == 200
        not_ready = await client.get("/readyz")
        refused(not_ready, 503, "not_ready")
        assert not_ready.headers["retry-after"] == "1"
        refused(await client.post("/v1/query", content=b"x"), 503, "not_ready")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_requests_beyond_the_limit_are_rejected_at_once_with_retry_after(index: Path, photographs: Path) -> None:
    with served(index, DACO_MAX_WAITING="1", DACO_UPLOAD_SECONDS="2") as (address, _):
        content = (photographs / "0.png").read_bytes()
        with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as slow:
            slow.sendall(b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
            time.sleep(0.3)
            busy = httpx.post(f"{address}/v1/query", content=content)
            refused(busy, 503, "too_busy")
            assert busy.headers["retry-after"] == "1"
            # the slow one is sent away in the end, and the place is free again
            assert b"upload_too_slow" in slow.makefile("rb").read()
        assert httpx.post(f"{address}/v1/query", content=content).status_code == 200


def test_a_new_generation_is_loaded_and_a_damaged_one_is_not(
    own_index: Path, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for number in (0, 1):
        shutil.copy(photographs / f"{number}.png", fewer)
    content = (photographs / "1.png").read_bytes()
    with served(own_index, DACO_RELOAD_SECONDS="0.1") as (address, _):

        def state() -> tuple[int, int]:
            index = httpx.post(f"{address}/v1/query", content=content).json()["index"]
            return index["generation"], index["count"]

        assert state() == (1, 6)
        build_index(str(fewer), str(encoder_folder), own_index, BuildOptions(device="cpu", progress=False))
        deadline = time.monotonic() + 20
        while state() != (2, 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert state() == (2, 2)
        (own_index / "CURRENT").write_text("no generation\n")
        time.sleep(0.5)
        assert state() == (2, 2)
        best = httpx.post(f"{address}/v1/query", content=content).json()["matches"][0]  # ids are never used twice
        (fewer / "1.png").unlink()
        refused(httpx.get(f"{address}{best['image']}"), 410, "reference_gone")


def test_the_page_contacts_no_other_host(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-request-id"]
    for part in ("", *(f"web/{file.name}" for file in WEB.iterdir() if file.is_file())):
        response = client.get(f"/{part}")
        assert response.status_code == 200
        text = response.text.replace("https://www.openstreetmap.org/?mlat=", "")  # a link that a visitor may follow
        text = text.replace("(http://localhost)", "")  # said of this machine
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_the_api_documentation_works_without_a_network(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) >= 3
    for part in parts:
        assert part.startswith("/"), part
        assert client.get(part).status_code == 200
    assert "/v1/query" in client.get("/openapi.json").json()["paths"]


def test_query_prints_a_table_or_json_and_reports_a_missing_server(server: str, photographs: Path) -> None:
    image = photographs / "2.png"
    table = daco_serve("query", image, "--url", server, "--k", 2)
    assert table.returncode == 0, table.stderr
    assert "place 2" in table.stdout and "Looks like place 2 at 35." in table.stdout
    answers = json.loads(daco_serve("query", image, image, "--url", server, "--json").stdout)
    assert [answer["matches"][0]["id"] for answer in answers] == [2, 2]
    assert answers[0]["query"] == str(image)
    assert "daco-serve run" in one_sentence(daco_serve("query", image, "--url", "http://127.0.0.1:1"))
    assert "not an image" in one_sentence(daco_serve("query", Path(__file__), "--url", server))
