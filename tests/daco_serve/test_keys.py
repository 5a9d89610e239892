"""Requests without a valid key are rejected if keys are required; keys appear in no file and no log."""

import json
import logging
import os
import stat
import time
from pathlib import Path

import httpx
import pytest

from daco_core.errors import DacoError
from daco_serve.http.app import create_app
from daco_serve.operation.keys import KeyFile, KeyRing, first_key, is_loopback, key_ring
from daco_serve.operation.settings import ServeSettings

from .conftest import hosted
from .test_refusals import encoded, refused
from .test_server import daco_serve, one_sentence


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "keys.json"


def test_a_key_is_printed_once_and_only_its_hash_is_stored(file: Path) -> None:
    made = daco_serve("key", "add", "robot-3", "--keys", file)
    token = made.stdout.strip()
    assert made.returncode == 0 and len(token) > 40 and token not in made.stderr
    assert token.removeprefix("daco_") not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = daco_serve("key", "list", "--keys", file).stdout
    assert "robot-3" in listed and token not in listed
    assert KeyRing(KeyFile(file)).name_of(token) == "robot-3"
    assert "robot-3" in one_sentence(daco_serve("key", "add", "robot-3", "--keys", file))
    assert "robot-4" in one_sentence(daco_serve("key", "remove", "robot-4", "--keys", file))
    assert daco_serve("key", "remove", "robot-3", "--keys", file).returncode == 0
    assert json.loads(file.read_text()) == {"keys": []}


@pytest.mark.parametrize("name", ["", "two words", "a" * 65, "line\nbreak", "../up"])
def test_a_key_name_with_unusual_characters_is_rejected(file: Path, name: str) -> None:
    with pytest.raises(DacoError, match="letters"):
        KeyFile(file).add(name)
    assert not file.exists()


def test_a_key_file_that_others_may_write_to_or_that_is_damaged_is_rejected(file: Path) -> None:
    keys = KeyFile(file)
    keys.add("a")
    file.chmod(0o620)
    with pytest.raises(DacoError, match="chmod 600"):
        keys.read()
    file.chmod(0o600)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DacoError, match="damaged"):
        keys.read()


def test_a_pipe_in_place_of_the_key_file_does_not_block(file: Path) -> None:
    keys = KeyFile(file)
    token = keys.add("a")
    ring = KeyRing(keys)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(DacoError, match="not a file"):
        keys.read()
    time.sleep(1.1)  # until the ring looks again
    assert ring.name_of(token) is None
    file.unlink()
    file.mkdir()
    with pytest.raises(DacoError):
        keys.read()


def test_only_loopback_needs_no_key_by_default(file: Path) -> None:
    assert key_ring("127.0.0.1", None, False) is None
    assert key_ring("::1", None, False) is None
    assert key_ring("0.0.0.0", None, True) is None
    for host in ("0.0.0.0", "::", "127.0.0.1"):
        with pytest.raises(DacoError, match="key add"):
            key_ring(host, file, False)
    with pytest.raises(DacoError, match="only one of them"):
        key_ring("0.0.0.0", file, True)
    KeyFile(file).add("a")
    assert len(key_ring("0.0.0.0", file, False) or ()) == 1
    assert is_loopback("localhost") and not is_loopback("0.0.0.0") and not is_loopback("192.0.2.1")


def test_a_missing_key_can_be_created_once(file: Path) -> None:
    assert first_key("127.0.0.1", None, False) is None
    assert first_key("0.0.0.0", file, True) is None
    token = first_key("0.0.0.0", file, False)
    assert token and KeyRing(KeyFile(file)).name_of(token) == "first"
    assert first_key("0.0.0.0", file, False) is None


def test_some_addresses_need_a_key_and_some_do_not(index: Path, photographs: Path, file: Path) -> None:
    keys = KeyFile(file)
    token, other = keys.add("mine"), keys.add("other")
    image = photographs / "1.png"
    with hosted(index, keys=file) as address, httpx.Client(base_url=address) as client:
        for public in ("/", "/web/app.js", "/healthz", "/readyz", "/docs", "/openapi.json"):
            assert client.get(public).status_code == 200, public
        for path in ("/v1/references/0", "/v1/references/0/image", "/metrics", "/nothing", "/web/../v1/references/0"):
            refused(client.get(path), 401, "key_missing")
        missing = client.post("/v1/query", content=encoded("PNG"))
        refused(missing, 401, "key_missing")
        assert missing.headers["www-authenticate"].startswith("Bearer")
        for wrong in ("x", token + "x", token[:-1], token.upper(), "é"):
            headers = [(b"authorization", b"Bearer " + wrong.encode())]
            refused(client.post("/v1/query", content=encoded("PNG"), headers=headers), 401, "key_wrong")
        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"authorization": f"bearer {token}"},
            {"X-API-Key": token},
        ):
            assert client.post("/v1/query", content=encoded("PNG"), headers=headers).status_code == 200
        assert "requires a key" in one_sentence(daco_serve("query", image, "--url", address))
        assert daco_serve("query", image, "--url", address, "--key", token).returncode == 0
        schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
        assert {"bearer", None} == {scheme.get("scheme") for scheme in schemes.values()}

        keys.remove("mine")
        time.sleep(1.1)
        mine, others = ({"Authorization": f"Bearer {key}"} for key in (token, other))
        refused(client.get("/v1/references/0", headers=mine), 401, "key_wrong")
        assert client.get("/v1/references/0", headers=others).status_code == 200
        whole = file.read_bytes()
        for damaged in (b"\xff\xfe" + whole, None):
            assert client.get("/v1/references/0", headers=others).status_code == 200
            file.unlink() if damaged is None else file.write_bytes(damaged)
            time.sleep(1.1)
            refused(client.get("/v1/references/0", headers=others), 401, "key_wrong")
            file.touch(mode=0o600)
            file.write_bytes(whole)
            time.sleep(1.1)


def test_a_key_never_gets_into_the_log(index: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = KeyFile(file).add("mine")
    with hosted(index, keys=file) as address, caplog.at_level(logging.DEBUG):
        for shown in (token, token + "x"):
            httpx.get(f"{address}/v1/references/0?secret={token}", headers={"Authorization": f"Bearer {shown}"})
    lines = [record for record in caplog.records if record.name == "daco_serve.access"]
    assert [(line.status, line.key) for line in lines] == [(200, "mine"), (401, None)]  # type: ignore[attr-defined]
    assert token not in caplog.text.replace(f"HTTP Request: GET {address}/v1/references/0?secret={token}", "")


def test_an_app_for_a_public_address_cannot_be_created_without_keys(index: Path, file: Path) -> None:
    with pytest.raises(DacoError):
        create_app(ServeSettings(index=index, host="0.0.0.0", keys=file)).build_middleware_stack()


def test_without_a_key_only_requests_to_a_local_host_name_are_answered(client: httpx.Client, index: Path) -> None:
    for host in ("localhost", "localhost:8000", "127.0.0.1:1", "127.9.9.9", "[::1]:8000", "day.localhost", "LOCALHOST"):
        assert client.get("/v1/references/0", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "192.0.2.1", "[::2]"):
        refused(client.get("/v1/references/0", headers={"Host": host}), 421, "wrong_host")
    for host in ("[", "a b", "[::1]evil.example", "[::1]:80:90"):
        refused(client.get("/v1/references/0", headers={"Host": host}), 400, "bad_request")
    with hosted(index, open=True) as address:
        assert httpx.get(f"{address}/v1/references/0", headers={"Host": "maps.example"}).status_code == 200
