"""What the server counts and times, for Prometheus and, where it is set up, as spans for OpenTelemetry."""

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

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where several workers keep their counts; the library looks at it when imported
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PHOTOGRAPHS = (1, 2, 4, 8, 16, 32, 64)

values.MmapedDict = CountFile  # type: ignore[attr-defined]

requests = Counter("daco_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram(
    "daco_request_seconds", "From a request's head to the end of its answer.", ["route"], buckets=SECONDS
)
refusals = Counter("daco_refusals", "Requests refused, by the code that the client was told.", ["code"])
faults = Counter("daco_faults", "Failures of the server's own parts: decoder, encoder.", ["part"])
for part in ("decoder", "encoder"):
    faults.labels(part)  # 0 from the start, and with them the file of all counters
stage_seconds = Histogram(
    "daco_stage_seconds", "Parts of a query: upload, decode, embed, search, rerank.", ["stage"], buckets=SECONDS
)
batch_size = Histogram(
    "daco_batch_photographs", "Photographs that went through the encoder together.", buckets=PHOTOGRAPHS
)
in_work = Gauge("daco_queries_in_work", "Queries taken and not yet answered.", multiprocess_mode="livesum")
tracks = Gauge("daco_tracks", "Cameras that are followed.", multiprocess_mode="livesum")
track_frames = Counter("daco_track_frames", "Frames of tracks: answered, dropped or refused.", ["outcome"])
upload_bytes = Gauge(
    "daco_upload_bytes", "Bytes of uploads that are held, of at most --upload-memory.", multiprocess_mode="livesum"
)
at_engine = Gauge(
    "daco_engine_photographs", "Photographs that wait for the encoder or are in it.", multiprocess_mode="livesum"
)
generation = Gauge(
    "daco_index_generation",
    "Generation that answers; of several workers the oldest.",
    ["index"],
    multiprocess_mode="livemin",
)
references = Gauge("daco_index_references", "Reference photographs in it.", ["index"], multiprocess_mode="livemin")

_tracer = trace.get_tracer("daco_serve")


def record_stages(**stages: tuple[float, float]) -> None:
    """Counts how long each stage of a query took, and leaves a span of each in the request's trace.

    Args:
        stages: when each began and ended, by `time.perf_counter`.
    """
    offset = time.time_ns() - time.perf_counter_ns()
    for stage, (start, end) in stages.items():
        stage_seconds.labels(stage).observe(end - start)
        _tracer.start_span(stage, start_time=offset + int(1e9 * start)).end(offset + int(1e9 * end))


def exposition(accept: str) -> tuple[bytes, str]:
    """What Prometheus reads, of all workers together, and its content type, by the Accept header of who asks."""
    registry: CollectorRegistry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


@contextmanager
def shared_by_workers() -> Iterator[None]:
    """Lets processes started meanwhile count together; for the process that starts them."""
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
    """Stops counting what a process that has ended had in work; what it had finished still counts."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
