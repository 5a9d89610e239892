"""The page's map: references behind the dots, pins that do not hide each other, several answers at once."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

from .page_actions import Open, choose, loaded, ready

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


def test_pins_that_would_hide_each_other_are_spread(open_page: Open, server: str, photographs: Path) -> None:
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
