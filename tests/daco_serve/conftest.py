"""Fixtures for the tests of the server: a small real index, and a real server on its own port."""

import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.generations.folders import CALIBRATION_FILE
from daco_index.search.bundle import read_manifest
from daco_serve.engine.calibration import Calibration, Logistic
from daco_serve.engine.service import Service
from daco_serve.http.server import HttpServer
from daco_serve.operation.settings import ServeSettings
from daco_training.encoder.encoder import Encoder

from .page_actions import CHROMIUM, OFFLINE, Host, Open

Serve = Callable[..., Any]
COMMAND = [sys.executable, "-c", "from daco_serve.cli.main import main; main()"]
START_SECONDS = 90
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
QUIET = {"DACO_LOG_LEVEL": "warning"}  # a line for each request would fill the pipe that nobody reads


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of coloured blocks, all different, 10 m apart on a line to the north."""
    folder = tmp_path_factory.mktemp("photographs")
    locations = {}
    for number in range(6):
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        name = f"{number}.png"
        Image.fromarray(blocks).resize((200, 160), Image.Resampling.NEAREST).save(folder / name)
        locations[name] = PhotoLocation(35.0 + number * 10 / 111195, 139.0, 90.0, f"place {number}")
    write_locations(folder, locations)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(folder)
    return folder


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What benchmarks ask where the answers do not matter, and quick."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "small"
    Encoder(EncoderConfig(backbone="test_resnet", image_size=32)).save(folder)
    return folder


@pytest.fixture(scope="session")
def index(photographs: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated; to be read, not changed."""
    out = tmp_path_factory.mktemp("index") / "map"
    build_index(str(photographs), str(encoder_folder), out, BuildOptions(device="cpu", progress=False))
    calibrate(out)
    return out


def calibrate(index: Path, on_map: float = 0.9999, right: float = 0.95) -> None:
    """Has an index answer every query with these probabilities."""
    manifest = read_manifest(index)
    none = [0.0, 0.0, 0.0, 0.0]
    Calibration(
        encoder=manifest.encoder_fingerprint,
        references=manifest.count,
        created="2026-01-01T00:00:00+00:00",
        queries="none",
        count=20,
        recall=right,
        elsewhere=0.2,
        mean=none,
        deviation=[1.0, 1.0, 1.0, 1.0],
        is_right=Logistic(bias=math.log(right / (1 - right)), weights=none),
        is_on_map=Logistic(bias=math.log(on_map / (1 - on_map)), weights=none),
        right_errors=[],
        wrong_errors=[],
        held_out=None,
    ).save(index / CALIBRATION_FILE)


@pytest.fixture
def own_index(index: Path, tmp_path: Path) -> Path:
    """A copy of the index that a test may change."""
    return Path(shutil.copytree(index, tmp_path / "own_index"))


@pytest.fixture
def uncalibrated_index(own_index: Path) -> Path:
    """As it is before anybody has calibrated it."""
    (own_index / CALIBRATION_FILE).unlink()
    return own_index


@contextmanager
def served(index: Path, *options: object, **environment: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A real server process: its address, and the process; told to stop in the end, as by Ctrl-C."""
    command = [*COMMAND, "run", "--index", str(index), "--port", "0", "--device", "cpu", *map(str, options)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **QUIET, **environment}
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, process.stderr.read()
        yield found[0], process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def hosted(index: Path, **settings: Any) -> Iterator[str]:
    """A real server on a port of its own in a thread of the tests' process: the address. It starts in no time."""
    told = ServeSettings(index=index, device="cpu", **settings)
    service = Service(told)
    service.load()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(told, service)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="session")
def server(index: Path) -> Iterator[str]:
    """The address of one server, for all tests that only ask."""
    with served(index, "--max-pixels", 4_000_000, "--max-upload-bytes", 3_000_000) as (address, _):
        yield address


@pytest.fixture(scope="session")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Of one module only: while it is open, the driver's event loop runs, and no other test could start one."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), so the page cannot be tried")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


@pytest.fixture
def host() -> Iterator[Host]:
    """Starts servers that outlive the pages: behind an answer, a page is still loading pictures."""
    with ExitStack() as servers:
        yield lambda index, **settings: servers.enter_context(hosted(index, **settings))


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    """A page for the tests of a module, one after the other: a new one takes 2 s of the processor."""
    page = browser.new_context(**DESKTOP).new_page()
    yield page
    page.context.close()


@pytest.fixture
def open_page(host: Host, browser: Any, tab: Any) -> Iterator[Open]:
    """Opens the page of a server, `at` which it is if the address says more.

    The first that a test opens without settings is the module's tab, where nothing is left of the tests before. In the
    end, nothing may have gone wrong in a page, and no other host have been asked.
    """
    opened: list[tuple[Any, dict[str, Callable[[Any], None]]]] = []
    troubles: list[str] = []

    def open_at(address: str, troubled: bool = False, at: str | None = None, **settings: Any) -> Any:
        free = not settings and all(page is not tab for page, _ in opened)
        page = tab if free else browser.new_context(**{**DESKTOP, **settings}).new_page()
        opened.append((page, listeners(at or address, troubled)))
        page.set_default_timeout(20_000)
        for event, listener in opened[-1][1].items():
            page.on(event, listener)
        page.goto(address)
        page.wait_for_selector("#state:has-text('reference photographs')")
        return page

    def listeners(address: str, troubled: bool) -> dict[str, Callable[[Any], None]]:
        def console(message: Any) -> None:
            if message.type == "error" and not troubled:
                troubles.append(message.text)

        def pageerror(error: Any) -> None:
            troubles.append(str(error))

        def request(request: Any) -> None:
            if not request.url.startswith((address, "blob:", "data:")):
                troubles.append(request.url)

        return {"console": console, "pageerror": pageerror, "request": request}

    yield open_at
    for page, listening in opened:
        if page is tab:
            for event, listener in listening.items():
                page.remove_listener(event, listener)
            forget(page)
        else:
            page.context.close()
    assert troubles == []


def forget(page: Any) -> None:
    """Leaves a page, and clears what the browser would tell the next."""
    page.context.set_offline(False)
    page.context.clear_cookies()
    page.evaluate("sessionStorage.clear()")
    page.emulate_media(color_scheme="null")
    page.mouse.move(0, 0)
    page.goto("about:blank")
