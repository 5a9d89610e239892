"""Photographs are decoded in other processes, exactly, at a reduced size, and within a time limit."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from daco_core.encoder.preparation import Preparation
from daco_core.photographs.images import to_rgb
from daco_serve.engine import decoder_pool as decoders_module
from daco_serve.engine.answers import QueryError
from daco_serve.engine.decoder_pool import Decoders
from daco_serve.engine.decoding import SCAN, Undecodable, decode
from tests.phone_files import HEIC

from .conftest import hosted
from .test_observing import samples
from .test_refusals import encoded, png_bomb, refused


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(seconds=20, max_pixels=20_000_000)
    yield made
    made.close()


def processes(decoders: Decoders) -> list[int]:
    return [decoder._process.pid for decoder in decoders._idle]


def progressive(size: tuple[int, int], scans: int) -> bytes:
    """A valid JPEG whose last, tiny scan comes again and again: each costs a pass over all pixels."""
    buffer = BytesIO()
    Image.new("RGB", size, "grey").save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    start = whole.rindex(SCAN)
    # with the tables that it needs: from the marker before it
    last = whole[start:-2]
    return whole[:-2] + last * scans + whole[-2:]


@pytest.mark.parametrize("resize", ["shorter", "square"])
@pytest.mark.parametrize("size", [(640, 427), (427, 640), (301, 300), (64, 64), (50, 70), (1500, 100)])
def test_a_decoded_photograph_equals_the_encoders_own_preparation(
    decoders: Decoders, size: tuple[int, int], resize: str
) -> None:
    content = encoded("PNG", size)
    prepare = Preparation(64, resize, (0.5,) * 3, (0.25,) * 3)  # type: ignore[arg-type]
    here = prepare(to_rgb(Image.open(BytesIO(content))))
    there = decoders.decode(content, 64, resize == "square")
    assert min(there.size) == 64
    np.testing.assert_array_equal(prepare(there), here)


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((2000, 1600), (500, 400)),  # a quarter; an eighth would leave 200
        ((4000, 3000), (500, 375)),  # an eighth, libjpeg's smallest
        ((600, 450), (600, 450)),
        ((300, 200), (300, 200)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_large_jpeg_is_decoded_small_but_at_least_at_twice_the_input_size(
    size: tuple[int, int], decoded: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daco_serve.engine.decoding._resized", lambda image, size, square: image)
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, "JPEG")
    image = decode(buffer.getvalue(), 20_000_000, 128, False)
    assert image.size == decoded
    assert image.mode == "RGB"


def test_many_threads_get_their_own_photographs(decoders: Decoders) -> None:
    colours = [(number * 5 % 256, number * 11 % 256, number * 17 % 256) for number in range(60)]

    def ask(colour: tuple[int, int, int]) -> object:
        buffer = BytesIO()
        Image.new("RGB", (90, 70), colour).save(buffer, "PNG")
        return decoders.decode(buffer.getvalue(), 32, True).getpixel((5, 5))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, colours)) == colours
    assert 1 <= len(processes(decoders)) <= 3


def test_a_rejected_photograph_does_not_cost_a_decoder_process(decoders: Decoders) -> None:
    decoders.warm()
    before = processes(decoders)
    for content, code in (
        (b"no image", "not_an_image"),
        (png_bomb(5000, 5000), "image_too_large"),
        (encoded("PNG")[:100], "image_truncated"),
        (progressive((4000, 3000), 40), "image_too_slow"),
    ):
        with pytest.raises(QueryError) as caught:
            decoders.decode(content, 64, False)
        assert caught.value.code == code
    assert processes(decoders) == before


def test_a_decoder_that_hangs_is_stopped_in_time_and_replaced() -> None:
    decoders = Decoders(seconds=3.0, max_pixels=20_000_000)  # a busy machine takes a second to start one
    decoders.warm()
    decoders.decode(encoded("PNG"), 64, False)
    (hung,) = processes(decoders)
    os.kill(hung, 19)  # SIGSTOP: it does not turn, whatever it is at
    start = time.monotonic()
    with pytest.raises(QueryError, match="longer than 3 seconds"):
        decoders.decode(encoded("PNG"), 64, False)
    assert time.monotonic() - start < 10
    assert not Path(f"/proc/{hung}").exists()
    patient = Decoders(seconds=20, max_pixels=20_000_000)
    assert patient.decode(encoded("PNG"), 64, False).size
    patient.close()


def test_a_crash_of_a_decoder_rejects_the_photograph_and_the_decoder_is_replaced(decoders: Decoders) -> None:
    decoders.decode(encoded("PNG"), 64, False)
    (crashed,) = processes(decoders)
    os.kill(crashed, signal.SIGSTOP)  # so that it has the photograph when it dies
    death = threading.Timer(0.5, os.kill, (crashed, signal.SIGKILL))
    death.start()
    with pytest.raises(QueryError) as caught:
        decoders.decode(encoded("PNG"), 64, False)
    assert caught.value.code == "image_truncated"
    assert decoders.decode(encoded("PNG"), 64, False).size
    assert crashed not in processes(decoders)


def test_a_decoder_that_died_while_idle_does_not_fail_the_next_photograph(decoders: Decoders) -> None:
    decoders.decode(encoded("PNG"), 64, False)
    (dead,) = processes(decoders)
    os.kill(dead, signal.SIGKILL)
    decoders._idle[0]._process.wait()
    assert decoders.decode(encoded("PNG"), 64, False).size
    assert dead not in processes(decoders)


def test_the_limit_on_scans_applies_only_to_jpegs() -> None:
    content = encoded("WEBP") + SCAN * 100
    width, height = Image.open(BytesIO(content)).size
    assert decode(content, width * height, 64, False).size


def test_if_no_decoder_can_be_started_the_server_is_busy(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(decoders_module.subprocess, "Popen", fail)
    with pytest.raises(QueryError) as caught:
        decoders.decode(encoded("PNG"), 64, False)
    assert caught.value.code == "too_busy"


def test_a_decoder_cannot_write_files_or_exceed_its_memory_limit(tmp_path: Path) -> None:
    attempt = (
        "from daco_serve.engine.decoding import _confine; _confine(); import signal; signal.signal(signal.SIGXFSZ, 1)\n"
        "try: bytearray(3 * 2**30)\nexcept MemoryError: print('memory')\n"
        f"try: open({str(tmp_path / 'file')!r}, 'wb', buffering=0).write(b'x')\nexcept OSError: print('disk')"
    )
    done = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["memory", "disk"]


def test_compressed_text_that_unpacks_beyond_the_limit_is_rejected() -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    whole = encoded("PNG")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    with pytest.raises(Undecodable):
        decode(whole[:33] + bomb + whole[33:], 20_000_000, 64, False)


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import time; time.sleep(60)"])
def test_a_decoder_that_cannot_run_is_a_5xx_and_makes_the_server_unready(
    index: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen
    broken = threading.Event()
    broken.set()

    def popen(command: list[str], **settings: object) -> "subprocess.Popen[bytes]":
        return start([command[0], "-c", program] if broken.is_set() else command, **settings)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(decoders_module.subprocess, "Popen", popen)
    monkeypatch.setattr(decoders_module, "START_SECONDS", 0.5)
    with hosted(index) as address:
        for _ in range(2):
            refused(httpx.post(f"{address}/v1/query", content=encoded("PNG"), timeout=60), 503, "decoder_failed")
            refused(httpx.get(f"{address}/readyz", timeout=60), 503, "decoder_failed")
        assert samples(address)['daco_faults_total{part="decoder"}'] >= 1
        broken.clear()
        monkeypatch.setattr(decoders_module, "START_SECONDS", 30.0)
        assert httpx.get(f"{address}/readyz", timeout=60).status_code == 200
        assert httpx.post(f"{address}/v1/query", content=encoded("PNG"), timeout=60).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="the score is Linux's")
def test_when_memory_runs_out_the_kernel_kills_a_decoder_before_the_server(decoders: Decoders) -> None:
    decoders.decode(encoded("PNG"), 64, False)
    (decoder,) = processes(decoders)
    assert Path(f"/proc/{decoder}/oom_score_adj").read_text().strip() == "1000"


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "AVIF", "HEIC"])
def test_every_format_is_decoded_within_the_limits(decoders: Decoders, kind: str) -> None:
    content = HEIC if kind == "HEIC" else encoded(kind, (48, 64))
    assert decoders.decode(content, 48, False).size == (48, 64)
    with pytest.raises(QueryError) as caught:
        Decoders(seconds=20, max_pixels=1000).decode(content, 48, False)
    assert caught.value.code == "image_too_large"
    with pytest.raises(QueryError) as caught:
        decoders.decode(content[: len(content) // 2], 48, False)
    assert caught.value.code == "image_truncated"
    assert len(processes(decoders)) == 1
