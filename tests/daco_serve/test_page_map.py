"""The map of the page: dots of references, pins that do not hide each other, several answers at once."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest

from daco_core.errors import DacoError
from daco_serve.http.middleware.headers import PAGE_POLICY
from daco_serve.operation.settings import load_settings

from .page_actions import Host, Open, choose, loaded, ready
from .vector_tiles import write_land

BOXES = """all => all.map(one => {
  const { x, y, width, height } = one.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
})"""
LOWEST_DOT = """() => {
  const canvas = document.querySelector('#map canvas');
  const { left, top, width } = canvas.getBoundingClientRect();
  const scale = canvas.width / width;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  for (let at = data.length - 4; at >= 0; at -= 4) {
    const [x, y] = [(at / 4) % canvas.width, Math.floor(at / 4 / canvas.width)];
    if (data[at + 3] > 100) return [left + x / scale, top + y / scale];
  }
}"""
EARTH = {"light": [226, 223, 218], "dark": [31, 31, 31]}  # colours of land in the two flavours of the streets
COLOUR = """wanted => [...document.querySelectorAll('.leaflet-tile-pane canvas')].some(canvas => {
  const [red, green, blue] = canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
  return [red, green, blue].join() === wanted.join();
})"""
CHANGED = "before => ![before, ''].includes(document.querySelector('.reference b').innerText)"


def test_references_are_browsed_by_keyboard_and_from_their_dots(open_page: Open, server: str) -> None:
    page = open_page(server)
    page.wait_for_selector(".browse:not([hidden])")
    page.focus(".browse")
    page.keyboard.press("Enter")
    seen = []
    for _ in range(6):
        page.wait_for_selector(".reference b:has-text('place')")
        assert loaded(page, ".reference img")
        seen.append(page.inner_text(".reference b"))
        assert page.inner_text(".reference .hint").startswith("facing 90°, 35.0")
        page.wait_for_function("() => document.activeElement.textContent === 'Next'")
        shown = page.inner_text(".reference b")
        page.keyboard.press("Enter")
        page.wait_for_function(CHANGED, arg=shown)
    assert sorted(seen) == [f"place {number}" for number in range(6)]
    page.keyboard.press("Escape")
    page.wait_for_selector(".reference", state="detached")
    assert page.evaluate("document.activeElement.classList.contains('browse')")
    # the references lie on a line to the north: the first dot is the southernmost
    page.mouse.click(*page.evaluate(LOWEST_DOT))
    page.wait_for_selector(".reference b:has-text('place 0')")


def test_pins_that_would_hide_each_other_are_moved_apart(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(server)
    choose(page, photographs / "2.png", photographs / "3.png", photographs / "4.png")
    ready(page, 3)
    for _ in range(6):  # far out, all of them are at one spot
        page.click(".leaflet-control-zoom-out")
        page.wait_for_timeout(300)
    centres = page.eval_on_selector_all("#map :is(.pin b, .other)", BOXES)
    assert len(centres) == 7
    assert min(math.dist(*pair) for pair in combinations(centres, 2)) > 20
    assert page.locator("#map .tether").count() > 0


def test_several_answers_are_numbered_on_one_map(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(server)
    choose(page, photographs / "1.png", photographs / "3.png", photographs / "5.png")
    ready(page, 3)
    assert numbers(page) == ["2", "3"] and page.is_visible("[data-key=others]")
    page.locator("#map [aria-label='Photograph 3, 5.png: Located']").dispatch_event("click")
    assert page.inner_text("#verdict") == "place 5" and numbers(page) == ["1", "2"]
    assert page.get_attribute("#film li:nth-child(3) button", "aria-current") == "true"


def numbers(page: Any) -> list[str]:
    return sorted(page.locator("#map .other").all_inner_texts())


def test_streets_come_from_a_file_on_this_server_and_no_other_host(
    open_page: Open, host: Host, index: Path, tmp_path: Path
) -> None:
    land = write_land(tmp_path / "land.pmtiles", 35.0, 139.0)
    address = host(index, tiles=str(land))
    page = open_page(address, color_scheme="light")
    page.wait_for_function(COLOUR, arg=EARTH["light"])
    assert page.inner_text(".leaflet-control-attribution") == "© OpenStreetMap contributors"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(COLOUR, arg=EARTH["dark"])
    answer = httpx.get(f"{address}/web/map.pmtiles", headers={"Range": "bytes=0-6"})
    assert (answer.status_code, answer.content) == (206, b"PMTiles")
    assert httpx.get(address).headers["content-security-policy"] == PAGE_POLICY


def test_a_file_without_vector_tiles_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "text.pmtiles").write_text("streets")
    write_land(tmp_path / "images.pmtiles", 35.0, 139.0, tile_type=2)
    for name, reason in (
        ("absent.pmtiles", "No such file"),
        ("text.pmtiles", "not a PMTiles file"),
        ("images.pmtiles", "images"),
    ):
        with pytest.raises(DacoError, match=f"--tiles .*{reason}"):
            load_settings({"index": "x", "tiles": str(tmp_path / name)})
