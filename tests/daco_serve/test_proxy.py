"""The server behind nginx with the configuration in `deploy/nginx.conf`."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from daco_serve.client import Client, Refused
from daco_serve.http.track_schemas import TrackAnswer

from .conftest import hosted

SITE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
MAIN = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {site}
}}
"""
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")
MOST_BYTES = 1_000_000  # of a photograph, for the server behind it
START_SECONDS = 30


@pytest.fixture(scope="module")
def proxied(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of an nginx with that site, and its certificate."""
    if NGINX is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed, so the proxy cannot be tried")
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = folder / "site.pem", folder / "site.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    subprocess.run([*made, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with hosted(index, max_upload_bytes=MOST_BYTES) as address:
        site = SITE.read_text()
        for there, here in {
            "    listen [::]:443 ssl;\n": "",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/maps.example.org.pem": str(certificate),
            "/etc/ssl/maps.example.org.key": str(key),
            "maps.example.org": "localhost",
            "http://127.0.0.1:8000": address,
        }.items():
            assert there in site
            site = site.replace(there, here)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, site=site))
        process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            _wait_for(port)
            yield port, certificate
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, "nginx does not listen"
            time.sleep(0.05)


@pytest.fixture
def at_proxy(proxied: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    port, certificate = proxied
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Client(f"https://localhost:{port}") as client:
        yield client


def test_photographs_batches_and_tracks_pass_the_proxy(at_proxy: Client, photographs: Path) -> None:
    images = sorted(photographs.glob("*.png"))
    answer = at_proxy.query(images[2])
    assert answer.matches[0].place == "place 2"
    assert at_proxy.reference_image(answer.matches[0]) == images[2].read_bytes()
    found = [one for one in at_proxy.query_many(images) if not isinstance(one, Refused)]
    assert [one.matches[0].place for one in found] == [f"place {number}" for number in range(6)]
    assert sum(isinstance(one, TrackAnswer) for one in at_proxy.track(images)) == 6


def test_the_server_behind_the_proxy_answers_uploads_that_are_too_large(at_proxy: Client) -> None:
    with pytest.raises(Refused) as refusal:
        at_proxy.query(bytes(3 * MOST_BYTES))
    assert (refusal.value.code, refusal.value.status) == ("image_too_large", 413)
    # the answer of the proxy, past its own limit
    with pytest.raises(Refused) as refusal:
        at_proxy.query(bytes(81 * 2**20))
    assert (refusal.value.code, refusal.value.status) == ("", 413)


def test_only_pages_of_this_site_may_follow_a_camera(at_proxy: Client, proxied: tuple[int, Path]) -> None:
    port, _ = proxied
    address = f"wss://localhost:{port}/v1/track"
    with connect(address, origin=Origin(at_proxy.url)):
        pass
    for other in ("https://evil.example", "https://localhost", f"https://localhost:{port + 1}"):
        with pytest.raises(InvalidStatus) as refusal:
            connect(address, origin=Origin(other))
        assert refusal.value.response.status_code == 403


def test_each_answer_has_the_request_id_of_the_proxy_and_requires_tls_in_future(at_proxy: Client) -> None:
    answers = [httpx.get(f"{at_proxy.url}/healthz", headers={"X-Request-ID": "mine"}) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2 and "mine" not in ids
    assert all("Strict-Transport-Security" in answer.headers for answer in answers)
