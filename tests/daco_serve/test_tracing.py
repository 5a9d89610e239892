"""With a collector named, each query leaves a trace of its stages there; with none, nothing is sent anywhere."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .conftest import served
from .hostile import photo


@pytest.fixture
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


def test_a_query_leaves_a_trace_of_its_stages_and_not_of_where_it_was_taken(
    index: Path, collector: tuple[str, list[tuple[str, Span]]]
) -> None:
    endpoint, received = collector
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with served(index, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as (address, _):
        url = f"{address}/v1/query?prior=35.0,139.0,1000"
        httpx.get(f"{address}/healthz")
        answer = httpx.post(url, content=photo("JPEG"), headers={"traceparent": parent, "X-Request-ID": "mine"})
        assert answer.status_code == 200, answer.text
    spans = {span.name: span for _, span in received}
    assert {service for service, _ in received} == {"daco-serve"}
    assert set(spans) == {"POST /v1/query", "upload", "decode", "embed", "search"}
    root = spans.pop("POST /v1/query")
    assert root.trace_id.hex() in parent and root.parent_span_id.hex() in parent
    for span in spans.values():
        assert span.trace_id == root.trace_id and span.parent_span_id == root.span_id
        assert root.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    attributes = {attribute.key: str(attribute.value) for attribute in root.attributes}
    assert "mine" in attributes["daco.request_id"]
    assert "139" not in str(attributes)
