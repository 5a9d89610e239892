"""Request ids, logs, metrics and traces; and the data that they must not contain."""

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from PIL import Image

from .conftest import hosted, served
from .hostile import photo
from .test_refusals import encoded, refused

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROOT = Path(__file__).parents[2]
SECRETS = ("Maker of the camera", "48.8584", "2.2945", "GPS")


def with_metadata() -> bytes:
    """A photograph whose EXIF tells who took it where, and whose comment tells more."""
    exif = Image.Exif()
    exif[0x010F] = SECRETS[0]
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    buffer = BytesIO()
    Image.effect_noise((80, 60), 60).convert("RGB").save(buffer, "JPEG", exif=exif, comment=SECRETS[0].encode())
    return buffer.getvalue()


def samples(address: str) -> dict[str, float]:
    text = httpx.get(f"{address}/metrics").text
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    }


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, list[tuple[str, Span]]]]:
    """An OTLP collector on a port of its own: its address, and what it was sent: service and span."""
    received: list[tuple[str, Span]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
                received.extend((names[0], span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()


@pytest.mark.parametrize("id", ["abc-123", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a:b.c_d"])
def test_a_valid_request_id_is_kept(client: httpx.Client, id: str) -> None:
    for path in ("/healthz", "/nothing", "/v1/references/0/image"):
        assert client.get(path, headers={"X-Request-ID": id}).headers["x-request-id"] == id


@pytest.mark.parametrize("id", ["", "two words", "a" * 65, "é", "<script>", '"}', "%0a"])
def test_an_invalid_request_id_is_replaced(client: httpx.Client, id: str) -> None:
    answered = client.get("/healthz", headers=[(b"x-request-id", id.encode())]).headers.get_list("x-request-id")
    assert len(answered) == 1 and re.fullmatch("[0-9a-f]{32}", answered[0])


def test_every_answer_has_the_security_headers(client: httpx.Client) -> None:
    answers = [client.get(path) for path in ("/", "/docs", "/nothing", "/v1/references/0/image", "/metrics")]
    for answer in [*answers, client.post("/v1/query", content=b"x")]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_only_allowed_sites_may_query_from_a_browser(index: Path) -> None:
    with hosted(index, cors_origins="https://maps.example,https://other.example") as address:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in (("https://maps.example", True), ("https://evil.example", False)):
            preflight = httpx.options(f"{address}/v1/query", headers={"Origin": origin, **ask})
            assert (preflight.headers.get("access-control-allow-origin") == origin) is allowed
            assert (preflight.status_code == 200) is allowed
            answer = httpx.get(f"{address}/healthz", headers={"Origin": origin})
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            assert "access-control-allow-credentials" not in answer.headers


@dataclass(frozen=True)
class Life:
    """What one server process left behind: its answers, its log, its exit code, and its spans at a collector."""

    answer: httpx.Response
    last: bytes
    log: list[str]
    code: int
    spans: list[tuple[str, Span]]


@pytest.fixture(scope="module")
def life(index: Path, collector: tuple[str, list[tuple[str, Span]]]) -> Life:
    endpoint, spans = collector
    query = f"/v1/query?k=2&prior=35.0,{SECRETS[2]},20000000"
    form = {"image": (f"{SECRETS[1]}.jpg", with_metadata(), "image/jpeg")}
    content = with_metadata()
    # as talkative as it gets: Pillow, asked to, would log every EXIF field
    options = ("--log-level", "debug", "--log-format", "json")
    with served(index, *options, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as (address, process):
        answer = httpx.post(address + query, files=form, headers={"X-Request-ID": "mine", "traceparent": TRACE})
        refused(httpx.post(f"{address}/v1/query", content=content[:-900]), 422, "image_truncated")
        httpx.get(f"{address}/nothing%0a%1b[31m/" + "x" * 5000)
        with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=30) as slow:
            head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            slow.sendall(head.encode() + content[:500])
            time.sleep(0.5)
            process.terminate()
            time.sleep(0.5)
            slow.sendall(content[500:])
            last = slow.makefile("rb").read()
        _, log = process.communicate(timeout=30)
    return Life(answer, last, log.splitlines(), process.returncode, spans)


def test_a_server_that_is_stopped_finishes_accepted_requests(life: Life) -> None:
    assert life.last.startswith(b"HTTP/1.1 200 ") and b'"matches"' in life.last
    assert life.code == 0 and life.log[-1] == "Stopped."


def test_the_log_contains_each_request_and_nothing_of_the_photograph(life: Life) -> None:
    assert life.answer.status_code == 200, life.answer.text
    lines = [json.loads(line) for line in life.log[:-1]]
    first, second, third, _ = (line for line in lines if line["logger"] == "daco_serve.access")
    assert (first["method"], first["path"], first["status"], first["request_id"]) == ("POST", "/v1/query", 200, "mine")
    assert (second["status"], second["refusal"]) == (422, "image_truncated")
    assert third["status"] == 404 and len(third["path"]) <= 256
    assert datetime.fromisoformat(first["time"]).tzinfo is not None and first["milliseconds"] > 0
    for secret in SECRETS:
        assert secret not in "".join(life.log) + life.answer.text


def test_a_trace_contains_the_stages_of_a_query_but_not_its_prior(life: Life) -> None:
    assert {service for service, _ in life.spans} == {"daco-serve"}
    trace = [span for _, span in life.spans if span.trace_id.hex() in TRACE]
    spans = {span.name: span for span in trace}
    assert set(spans) == {"POST /v1/query", "upload", "decode", "embed", "search", "rerank"} and len(trace) == 6
    root = spans.pop("POST /v1/query")
    assert root.parent_span_id.hex() in TRACE
    for span in spans.values():
        assert span.parent_span_id == root.span_id
        assert root.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    attributes = {attribute.key: str(attribute.value) for attribute in root.attributes}
    assert "mine" in attributes["daco.request_id"]
    for secret in SECRETS:
        assert secret not in str(life.spans)


def test_an_internal_error_is_a_500_without_details_and_a_log_entry_with_them(
    index: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("daco_serve.http.routes.references._find", fail)
    with hosted(index) as address:
        answer = httpx.get(f"{address}/v1/references/0", headers={"X-Request-ID": "this-one"})
    assert "secret" not in refused(answer, 500, "internal_error")
    assert answer.headers["x-request-id"] == "this-one"
    assert "a secret of the house" in caplog.text


def test_metrics_contain_stages_error_codes_and_the_generation(index: Path) -> None:
    with hosted(index) as address:
        before = samples(address)
        for _ in range(3):
            assert httpx.post(f"{address}/v1/query", content=encoded("JPEG")).status_code == 200
        httpx.post(f"{address}/v1/query", content=b"x")
        httpx.request("BREW", f"{address}/v1/query")
        httpx.get(f"{address}/invented/by/a/stranger")
        after = samples(address)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    for stage in ("upload", "decode", "embed", "search"):
        assert grown(f'daco_stage_seconds_count{{stage="{stage}"}}') == 3
        assert grown(f'daco_stage_seconds_sum{{stage="{stage}"}}') > 0
    assert grown('daco_requests_total{method="POST",route="/v1/query",status="200"}') == 3
    assert grown('daco_refusals_total{code="not_an_image"}') == 1
    assert grown("daco_batch_photographs_sum") == 3
    assert after['daco_index_generation{index="map"}'] == 1 and after['daco_index_references{index="map"}'] == 6
    assert after["daco_queries_in_work"] == after["daco_engine_photographs"] == 0
    assert not [name for name in after if "stranger" in name or "BREW" in name]


def test_the_grafana_dashboard_uses_only_existing_metrics(server: str) -> None:
    for content in (photo("PNG"), b"x"):  # what never happened has no sample
        httpx.post(f"{server}/v1/query", content=content)
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) >= 12
    exposed = {name.partition("{")[0] for name in samples(server)}
    for query in queries:
        asked = set(re.findall(r"daco_[a-z_]+", query))
        assert asked and asked <= exposed, (query, asked - exposed)
