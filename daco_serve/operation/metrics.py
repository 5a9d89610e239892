"""The server's metrics for Prometheus and, if configured, spans for OpenTelemetry."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from opentelemetry import trace
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from daco_serve.operation.count_files import CountFile

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the folder of several workers' counters; read by the library when it is imported
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PHOTOGRAPHS = (1, 2, 4, 8, 16, 32, 64)

values.MmapedDict = CountFile  # type: ignore[attr-defined]

requests = Counter("daco_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram(
    "daco_request_seconds", "From a request's head to the end of its answer.", ["route"], buckets=SECONDS
)
refusals = Counter("daco_refusals", "Rejected requests, by the code sent to the client.", ["code"])
faults = Counter("daco_faults", "Failures of the server's own parts: decoder, encoder.", ["part"])
for part in ("decoder", "encoder"):
    faults.labels(part)  # 0 from the start, which also creates the file of all counters
stage_seconds = Histogram(
    "daco_stage_seconds", "Parts of a query: upload, decode, embed, search, rerank.", ["stage"], buckets=SECONDS
)
batch_size = Histogram("daco_batch_photographs", "Photographs embedded together in one batch.", buckets=PHOTOGRAPHS)
in_work = Gauge("daco_queries_in_work", "Queries accepted and not yet answered.", multiprocess_mode="livesum")
tracks = Gauge("daco_tracks", "Cameras being tracked.", multiprocess_mode="livesum")
track_frames = Counter("daco_track_frames", "Frames of tracks: answered, dropped or refused.", ["outcome"])
upload_bytes = Gauge(
    "daco_upload_bytes", "Bytes of uploads that are held, of at most --upload-memory.", multiprocess_mode="livesum"
)
at_engine = Gauge(
    "daco_engine_photographs", "Photographs waiting for the encoder or being embedded.", multiprocess_mode="livesum"
)
generation = Gauge(
    "daco_index_generation",
    "Generation in use; of several workers, the oldest.",
    ["index"],
    multiprocess_mode="livemin",
)
references = Gauge("daco_index_references", "Number of reference photographs.", ["index"], multiprocess_mode="livemin")

_tracer = trace.get_tracer("daco_serve")


def record_stages(**stages: tuple[float, float]) -> None:
    """Records how long each stage of a query took, as metrics and as spans of the request's trace.

    Args:
        stages: the start and end of each, by `time.perf_counter`.
    """
    offset = time.time_ns() - time.perf_counter_ns()
    for stage, (start, end) in stages.items():
        stage_seconds.labels(stage).observe(end - start)
        _tracer.start_span(stage, start_time=offset + int(1e9 * start)).end(offset + int(1e9 * end))


def exposition(accept: str) -> tuple[bytes, str]:
    """The metrics of all workers together, and their content type for an Accept header."""
    registry: CollectorRegistry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


@contextmanager
def shared_by_workers() -> Iterator[None]:
    """Lets processes that are started within this context count together; for the parent process."""
    if FOLDER in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="daco-serve-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


def forget_worker(pid: int) -> None:
    """Removes an ended process from the gauges; its completed work stays counted."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
