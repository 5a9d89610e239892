"""When the disk is full, or threads or file descriptors run out, the server degrades and keeps running."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import hosted, served
from .test_observing import samples
from .test_refusals import refused
from .test_workers import workers_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "full").open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("before", [True, False], ids=["before the start", "while it answers"])
def test_workers_answer_if_the_folder_of_their_metrics_is_full(
    index: Path, photographs: Path, small_disk: Path, before: bool
) -> None:
    counts = small_disk / "counts"
    counts.mkdir()
    if before:
        fill(small_disk)
    content = (photographs / "1.png").read_bytes()
    with served(index, "--workers", 2, PROMETHEUS_MULTIPROC_DIR=str(counts)) as (address, process):
        workers = workers_of(process.pid)
        if not before:
            fill(small_disk)
        for _ in range(12):  # a connection each, so that both workers are asked
            assert httpx.post(f"{address}/v1/query", content=content).status_code == 200
            assert httpx.get(f"{address}/v1/indexes/map/coverage").status_code == 200
        counted = samples(address)
        assert len(workers) == 2 and workers_of(process.pid) == workers
    if not before:
        assert counted['daco_requests_total{method="POST",route="/v1/query",status="200"}'] == 12


def test_a_request_for_which_no_thread_can_be_started_gets_retry_after(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (photographs / "1.png").read_bytes()
    start = threading.Thread.start
    short = threading.Event()

    def start_if_there_are_any(thread: threading.Thread) -> None:
        if short.is_set():
            raise RuntimeError("can't start new thread")
        start(thread)

    with hosted(index) as address, httpx.Client(base_url=address) as client:
        client.get("/healthz")
        monkeypatch.setattr(threading.Thread, "start", start_if_there_are_any)
        short.set()
        for _ in range(2):
            refused(client.post("/v1/query", content=content), 503, "too_busy")
            refused(client.post("/v1/query/batch", files=[("image", content)] * 3), 503, "too_busy")
            refused(client.get("/v1/references/1"), 503, "too_busy")
        short.clear()
        assert client.post("/v1/query", content=content).status_code == 200
        assert client.get("/v1/references/1").status_code == 200
