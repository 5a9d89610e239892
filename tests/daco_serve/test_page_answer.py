"""An answer on the page: comparison, enlargement, shared links, samples, and errors."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from daco_index.build import BuildOptions, build_index

from ..local_parts import draw_streets, save_grid_encoder
from .conftest import hosted
from .page_actions import Host, Open, choose, loaded, ready


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture(scope="module")
def comparing(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that compares photographs cell by cell, with three samples."""
    root = tmp_path_factory.mktemp("comparing")
    samples = draw_streets(root / "samples", 3)
    options = BuildOptions(progress=False, samples=samples)
    build_index(str(streets), str(save_grid_encoder(root / "encoder")), root / "index", options)
    with hosted(root / "index") as address:
        yield address


def test_matched_regions_are_drawn_on_demand_in_the_same_colours_in_both_photographs(
    open_page: Open, comparing: str, streets: Path
) -> None:
    page = open_page(comparing)
    choose(page, streets / "005.png")
    ready(page)
    assert page.inner_text("#theirs-place") == page.inner_text("#verdict") == "005"
    assert page.locator("#stage .regions").count() == 0
    page.check("#regions")
    assert page.inner_text("#regions-text") == "Matched regions (64)"
    for image in ("#yours-image", "#theirs-image"):
        loaded(page, image)
    tints = [
        page.eval_on_selector_all(f"#{side} .regions rect", "all => all.map(one => one.getAttribute('fill'))")
        for side in ("yours", "theirs")
    ]
    assert tints[0] == tints[1] and len(set(tints[0])) == 64
    assert page.get_attribute("#yours .regions rect", "width") == "16"  # a cell of 8 x 8, in pixels of the photograph
    page.uncheck("#regions")
    assert page.locator("#stage .regions").count() == 0


def test_the_comparison_fades_from_the_query_to_the_reference(open_page: Open, comparing: str, streets: Path) -> None:
    page = open_page(comparing)
    choose(page, streets / "005.png")
    ready(page)
    page.focus("input[value=beside]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#stage", "data-mode") == "fade"
    opacity = "getComputedStyle(document.getElementById('yours')).opacity"
    assert page.evaluate(opacity) == "1"
    page.focus("#slider")
    assert "reference" in page.get_attribute("#slider", "aria-label")
    page.keyboard.press("End")
    assert page.evaluate(opacity) == "0"


def test_the_comparison_fills_the_window_and_escape_gives_the_focus_back(
    open_page: Open, comparing: str, streets: Path
) -> None:
    page = open_page(comparing)
    choose(page, streets / "005.png")
    ready(page)
    page.focus("#enlarge")
    page.keyboard.press("Enter")
    page.wait_for_selector("#enlarged #stage")
    box = page.locator("#enlarged").bounding_box()
    assert (box["width"], box["height"]) == (1280, 800)
    page.keyboard.press("Escape")
    page.wait_for_selector("#compare #stage")
    assert page.evaluate("document.activeElement.id") == "enlarge"


def test_a_link_opens_the_answer_again_without_the_photograph(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(server, permissions=["clipboard-read", "clipboard-write"])
    choose(page, photographs / "3.png")
    ready(page)
    page.click("#share")
    page.wait_for_selector("#share:has-text('Link copied')")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{server}/#answer=") and len(link) < 4000
    other = open_page(link, at=server)
    ready(other)
    for part in ("#verdict", "#coordinates", "#chance-text", "#overline", "#list .name >> nth=4"):
        assert other.inner_text(part) == page.inner_text(part)
    assert "carries its numbers but not the photograph" in other.inner_text("#explanation")
    assert loaded(other, "#theirs-image") and other.is_hidden("#yours")
    assert other.locator("#map .mark-here").count() == 1


def test_a_link_to_an_unknown_index_is_explained(open_page: Open, server: str) -> None:
    answer = {"verdict": "not_on_map", "on_map": 0.1, "support": 0, "considered": 10, "matches": []}
    answer["index"] = {"name": "gone", "count": 9, "generation": 1}
    fragment = base64.urlsafe_b64encode(json.dumps(answer).encode()).decode().rstrip("=")
    page = open_page(f"{server}/#answer={fragment}", at=server)
    ready(page)
    assert page.inner_text("#overline") == "Not on this map"
    assert "This server has no map “gone”" in page.inner_text("#explanation")


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "AAAA",
        # {"verdict": "located", "matches": [{"id": "../../x"}], ...}: no number
        "eyJ2ZXJkaWN0IjoibG9jYXRlZCIsImluZGV4Ijp7Im5hbWUiOiJtYXAiLCJjb3VudCI6NiwiZ2VuZXJhdGlvbiI6MX0sInN1cHBvcnQiOjEsImNvbnNpZGVyZWQiOjEsIm1hdGNoZXMiOlt7InJhbmsiOjEsImlkIjoiLi4vLi4veCJ9XX0",
    ],
)
def test_an_invalid_link_opens_the_empty_page(open_page: Open, server: str, fragment: str) -> None:
    page = open_page(f"{server}/#answer={fragment}", at=server)
    assert page.is_visible("#ask-title") and page.is_hidden("#film")


def test_the_empty_page_offers_the_samples_of_the_index(open_page: Open, comparing: str, server: str) -> None:
    page = open_page(comparing)
    page.wait_for_selector("#samples:not([hidden])")
    assert page.inner_text("#samples-title") == "Try one of these"
    assert page.locator("#samples button").count() == 3 and loaded(page, "#samples li:last-child img")
    page.click("#samples li:nth-child(2) button")
    ready(page)
    assert page.inner_text("#verdict") == "001" and page.is_hidden("#samples")
    without = open_page(server)
    without.wait_for_selector("#map .browse:not([hidden])")
    assert without.is_hidden("#samples")


def test_a_failure_names_the_file_and_offers_another_one(
    open_page: Open, server: str, photographs: Path, tmp_path: Path
) -> None:
    page = open_page(server, troubled=True)  # the browser logs each 4xx as an error
    (tmp_path / "notes.jpg").write_text("not a photograph")
    choose(page, photographs / "3.png", tmp_path / "notes.jpg")
    ready(page)
    page.wait_for_selector("#film li:nth-child(2) [data-state=failed]")
    page.click("#film li:nth-child(2) button")
    assert page.inner_text("#failure-title") == "notes.jpg could not be looked up"
    assert page.inner_text("#failure-message").startswith("This is not an image: send a JPEG, PNG")
    assert page.inner_text("#failure-advice") == "Choose a photograph."
    # the map stays, without marks of an answer and without a legend for them
    assert page.is_visible("#map") and page.get_attribute("#where", "data-verdict") is None
    assert page.locator("#map :is(.pin, .other, .mark-here)").count() == 0
    assert page.eval_on_selector_all("#legend li:not([hidden])", "all => all.map(one => one.dataset.key)") == [
        "reference"
    ]
    page.on("filechooser", lambda chooser: None)
    with page.expect_file_chooser() as chooser:
        page.click("#another")
    chooser.value.set_files(str(photographs / "4.png"))
    ready(page, 3)
    assert page.is_hidden("#failure") and page.inner_text("#verdict") == "place 4"


def test_a_format_that_the_server_does_not_accept_is_converted_to_jpeg_in_the_browser(
    open_page: Open, server: str, photographs: Path, tmp_path: Path
) -> None:
    with Image.open(photographs / "3.png") as image:
        image.convert("RGB").save(tmp_path / "3.gif")
    page = open_page(server, troubled=True)
    choose(page, tmp_path / "3.gif")
    ready(page)
    assert page.inner_text("#verdict") == "place 3"


def test_more_pixels_than_the_server_accepts_are_reduced_in_the_browser(
    open_page: Open, host: Host, index: Path, photographs: Path, tmp_path: Path
) -> None:
    with Image.open(photographs / "3.png") as image:
        image.resize((2400, 1920), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    page = open_page(host(index, max_pixels=4_000_000), troubled=True)
    choose(page, tmp_path / "large.png")
    page.wait_for_selector("#film [data-state=failed], #film [data-state=done]")
    assert page.inner_text("#film .status") != "Failed", page.inner_text("#failure-message")
