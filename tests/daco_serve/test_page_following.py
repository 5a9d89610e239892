"""Following a camera on the page, in a real browser whose camera shows a video: text, track, and switching it off."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from daco_serve.operation.keys import KeyFile

from .conftest import calibrate, hosted
from .page_actions import CHROMIUM, OFFLINE

Follow = Callable[..., Any]
FILM_RATE = 30  # pictures a second of the browser's false camera
STRANGER = "http://maps.example"  # resolves to this machine; no browser trusts it without https
CAMERAS = """
  window.cameras = [];
  if (navigator.mediaDevices) {
    const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (...asked) => {
      const camera = await original(...asked);
      window.cameras.push(...camera.getTracks());
      return camera;
    };
  }
"""


@pytest.fixture(scope="module")
def camera_browser(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Its camera passes the photographs 1, 2 and 3, two seconds each."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), so the page cannot be tried")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    film = tmp_path_factory.mktemp("film") / "walk.mjpeg"
    film.write_bytes(b"".join(2 * FILM_RATE * as_jpeg(photographs / f"{number}.png") for number in (1, 2, 3)))
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    resolve = f"--host-resolver-rules=MAP {STRANGER.removeprefix('http://')} 127.0.0.1"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*OFFLINE, *camera, resolve])
        yield browser
        browser.close()


def as_jpeg(photograph: Path) -> bytes:
    content = BytesIO()
    with Image.open(photograph) as image:
        image.convert("RGB").save(content, "jpeg", quality=95)
    return content.getvalue()


@pytest.fixture
def follow(camera_browser: Any) -> Iterator[Follow]:
    """Opens the page of a server and presses Follow me; what the page throws fails the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def open_at(address: str, allowed: bool = True, **settings: Any) -> Any:
        context = camera_browser.new_context(permissions=["camera"] if allowed else [], **settings)
        contexts.append(context)
        context.add_init_script(CAMERAS)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#state:has-text('reference photographs')")
        page.click("#follow")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert errors == []


def says(page: Any, overline: str) -> None:
    page.wait_for_function("words => document.getElementById('overline').textContent === words", arg=overline)


def states_of_cameras(page: Any) -> list[str]:
    states: list[str] = page.evaluate("window.cameras.map(({ readyState }) => readyState)")
    return states


def test_a_camera_is_followed_on_the_map_until_it_is_stopped(follow: Follow, index: Path) -> None:
    with hosted(index) as address:
        page = follow(address)
        says(page, "Tracking")
        page.wait_for_function("() => document.querySelectorAll('#map .track-point').length >= 4")
        assert page.inner_text("#verdict") in ("place 1", "place 2", "place 3")
        assert "accurate to about" in page.inner_text("#explanation")
        assert page.locator("#map .track-line").count() == 1
        assert page.locator("#map .track-radius").count() == page.locator("#map .track-point").count()
        assert page.locator("#map .track-here").count() == 1
        assert states_of_cameras(page) == ["live"]
        page.click("#follow-stop")
        assert states_of_cameras(page) == ["ended"]
        assert page.inner_text("#verdict") == "The camera is off"
        assert page.evaluate("document.getElementById('follow-video').srcObject") is None
        assert page.locator("#map .track-point").count() >= 4
        page.click("#follow-stop")  # again
        says(page, "Tracking")
        page.click("#over")
        assert states_of_cameras(page) == ["ended", "ended"]
        assert page.is_hidden("#following") and page.locator("#map .track-point").count() == 0


def test_a_photograph_ends_following(follow: Follow, index: Path, photographs: Path) -> None:
    with hosted(index) as address:
        page = follow(address)
        says(page, "Tracking")
        page.set_input_files("#file", str(photographs / "4.png"))
        page.wait_for_selector("#film [data-state=done]")
        assert page.inner_text("#verdict") == "place 4"
        assert states_of_cameras(page) == ["ended"] and page.is_hidden("#following")


def test_a_camera_elsewhere_is_shown_as_not_on_the_map(follow: Follow, own_index: Path) -> None:
    calibrate(own_index, on_map=1e-4)
    with hosted(own_index) as address:
        page = follow(address)
        says(page, "Not on this map")
        assert page.locator("#map .track-point").count() == 0


def test_a_camera_that_no_place_fits_is_shown_as_lost(
    follow: Follow, uncalibrated_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daco_serve.engine.tracking.filter.TRACKING", 1.01)
    with hosted(uncalibrated_index) as address:
        page = follow(address)
        says(page, "Lost")
        assert "Looking for the place" in page.inner_text("#verdict")


def test_a_denied_camera_is_reported(follow: Follow, index: Path) -> None:
    with hosted(index) as address:
        page = follow(address, allowed=False)
        page.wait_for_selector("#follow-failure:not([hidden])")
        assert "Access to the camera was denied" in page.inner_text("#follow-failure")
        assert page.get_attribute("#follow-failure", "role") == "alert"
        page.context.grant_permissions(["camera"])
        page.click("#follow-stop")
        says(page, "Tracking")
        assert page.is_hidden("#follow-failure")


def test_an_address_without_https_is_named_as_the_reason(follow: Follow, index: Path) -> None:
    with hosted(index, open=True) as address:
        page = follow(address.replace("http://127.0.0.1", STRANGER))
        page.wait_for_selector("#follow-failure:not([hidden])")
        assert "over https" in page.inner_text("#follow-failure")


def test_a_full_server_is_reported_and_the_camera_is_switched_off(follow: Follow, index: Path) -> None:
    with hosted(index, max_tracks=1) as address:
        first, second = follow(address), follow(address)
        says(first, "Tracking")
        second.wait_for_selector("#follow-failure:not([hidden])")
        assert "already tracks 1 cameras" in second.inner_text("#follow-failure")
        assert states_of_cameras(second) == ["ended"] and states_of_cameras(first) == ["live"]
        first.click("#follow-stop")
        second.click("#follow-stop")
        says(second, "Tracking")


def test_the_page_waits_for_a_server_that_is_unreachable(follow: Follow, index: Path) -> None:
    with hosted(index) as address:
        page = follow(address)
        says(page, "Tracking")
    says(page, "No connection")
    assert states_of_cameras(page) == ["live"]
    page.click("#follow-stop")
    assert states_of_cameras(page) == ["ended"]


def test_a_key_is_used_for_the_track_too(follow: Follow, camera_browser: Any, index: Path, tmp_path: Path) -> None:
    token = KeyFile(tmp_path / "keys.json").add("phone")
    with hosted(index, keys=tmp_path / "keys.json") as address:
        context = camera_browser.new_context(permissions=["camera"])
        page = context.new_page()
        page.goto(address)
        page.fill("#key", token)
        page.click("#key-form button[type=submit]")
        page.wait_for_selector("#state:has-text('reference photographs')")
        page.click("#follow")
        says(page, "Tracking")
        context.close()
