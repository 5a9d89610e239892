"""The page in a real browser: photographs, matches, map and comparison, by mouse, by keyboard, and with a key."""

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_serve.operation.keys import KeyFile
from daco_serve.operation.settings import load_settings

from .conftest import calibrate, hosted
from .page_actions import Host, Open, choose, loaded, ready
from .test_query import lone_and_crowd

TILE = "https://tile.example.org/{z}/{x}/{y}.png"


def test_a_photograph_is_answered_with_matches_a_place_and_a_map(
    open_page: Open, server: str, photographs: Path
) -> None:
    page = open_page(server)
    assert page.inner_text("#state") == "map: 6 reference photographs of 6 places"
    assert "6 places, all with a position. Among the places: place 0, place 5." in page.inner_text("#explanation")
    choose(page, photographs / "3.png")
    ready(page)
    answer = httpx.post(f"{server}/v1/query", content=(photographs / "3.png").read_bytes()).json()
    assert page.inner_text("#verdict") == answer["location"]["place"]
    assert page.inner_text("#coordinates").startswith(f"{answer['location']['latitude']:.6f}")
    names = page.locator("#list .name").all_inner_texts()
    assert names == [match["place"] for match in answer["matches"]]
    scores = page.locator("#list .similarity").all_inner_texts()
    assert scores[0] == f"similarity {answer['matches'][0]['similarity']:.3f}"
    assert page.locator("#map .pin").count() == 5
    assert page.locator("#map .uncertainty").count() == 1 and page.locator("#map .mark-here").count() == 1
    for image in ("#yours-image", "#theirs-image", "#list img"):
        assert loaded(page, image)
    # whoever hears the page hears the verdict first
    assert page.inner_text("#spoken") == "Located: place 3. 95 % likely to be right within 25 m. 3.png"
    assert page.get_attribute("#spoken", "aria-live") == "polite"
    links = [page.get_attribute(link, "href") for link in ("#openstreetmap", "#open")]
    assert links[0].startswith("https://www.openstreetmap.org/?mlat=35.0") and links[1].startswith("geo:35.0")


def test_several_photographs_keep_their_answers_and_a_match_can_be_compared(
    open_page: Open, server: str, photographs: Path
) -> None:
    page = open_page(server)
    choose(page, photographs / "1.png", photographs / "4.png")
    ready(page, 2)
    places = [page.inner_text("#list li:first-child .name")]
    page.click("#film li:nth-child(2) button")
    places.append(page.inner_text("#list li:first-child .name"))
    assert places == ["place 1", "place 4"]
    page.click("#list li:nth-child(3) button")
    assert page.inner_text("#theirs-rank") == "3"
    assert page.get_attribute("#list li:nth-child(3) button", "aria-pressed") == "true"
    assert page.locator("#map .selected .pin b").inner_text() == "3"
    page.locator("#map [aria-label^='Match 2']").dispatch_event("click")
    assert page.inner_text("#theirs-rank") == "2"
    page.click("#over")
    assert page.is_visible("#ask-title") and page.is_hidden("#film") and page.is_hidden("#matches")
    assert page.locator("#map .pin").count() == 0 and page.inner_text("#verdict") == "map"


def test_the_page_can_be_used_with_the_keyboard_alone(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(server)
    page.on("filechooser", lambda chooser: None)  # from here on the driver, not a window of the system, opens
    page.focus("#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(photographs / "2.png"))
    ready(page)
    page.focus("#list li:first-child button")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#theirs-rank") == "2"
    assert page.evaluate("document.activeElement.ariaPressed") == "true"
    page.focus("input[value=beside]")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#stage", "data-mode") == "slide"
    page.focus("#slider")
    page.keyboard.press("Home")
    assert page.evaluate("document.getElementById('stage').style.getPropertyValue('--split')") == "0%"
    page.focus("#map [aria-label^='Match 1']")
    page.keyboard.press("Enter")
    assert page.inner_text("#theirs-rank") == "1"


def test_the_position_in_the_photograph_is_shown(
    open_page: Open, server: str, photographs: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8825).update({1: "S", 2: (35.0, 30.0, 36.0), 3: "W", 4: (70.0, 15.0, 0.0)})
    page = open_page(server)
    for count, kind in enumerate(("jpeg", "webp", "png"), start=1):
        with Image.open(photographs / "2.png") as image:
            image.save(tmp_path / f"located.{kind}", exif=exif)
        choose(page, tmp_path / f"located.{kind}")
        ready(page, count)
        assert "-35.510000, -70.250000" in page.inner_text("#own")
        assert page.locator("#map .mark-own").count() == 1


def test_a_rejected_photograph_is_explained_and_the_next_one_works(
    open_page: Open, server: str, photographs: Path
) -> None:
    page = open_page(server, troubled=True)  # the browser logs each 4xx as an error
    choose(page, Path(__file__))
    page.wait_for_selector("#failure:not([hidden])")
    assert page.get_attribute("#failure", "role") == "alert"
    assert page.inner_text("#failure-message").startswith("This is not an image: send a JPEG, PNG")
    assert page.is_hidden("#again") and page.is_hidden("#matches")
    choose(page, photographs / "5.png")
    ready(page, 2)
    assert page.is_hidden("#failure") and page.inner_text("#verdict").startswith("place")


def test_a_query_can_be_tried_again_after_the_server_was_unreachable(
    open_page: Open, server: str, photographs: Path
) -> None:
    page = open_page(server, troubled=True)
    page.context.set_offline(True)
    choose(page, photographs / "5.png")
    page.wait_for_selector("#failure:not([hidden])")
    assert "cannot be reached" in page.inner_text("#failure-message")
    page.context.set_offline(False)
    page.click("#again")
    ready(page)
    assert page.is_hidden("#failure")


def test_a_photograph_may_be_dropped_or_pasted(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(server)
    content = list((photographs / "1.png").read_bytes())
    for count, (kind, event) in enumerate({"drop": "DragEvent", "paste": "ClipboardEvent"}.items(), start=1):
        page.evaluate(
            """([kind, event, content]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(content)], "1.png", { type: "image/png" }));
              const init = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
              document.body.dispatchEvent(new globalThis[event](kind, init));
            }""",
            [kind, event, content],
        )
        ready(page, count)


def test_a_photograph_larger_than_the_server_accepts_is_reduced(
    open_page: Open, host: Host, index: Path, photographs: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (700, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    page = open_page(host(index, max_upload_bytes=1_000_000))
    choose(page, tmp_path / "large.png")
    ready(page)


def test_a_key_is_asked_for_and_kept(
    open_page: Open, browser: Any, index: Path, photographs: Path, tmp_path: Path
) -> None:
    token = KeyFile(tmp_path / "keys.json").add("page")
    with hosted(index, keys=tmp_path / "keys.json") as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-message:has-text('is unknown')")
        page.fill("#key", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#state:has-text('6 reference photographs')")
        choose(page, photographs / "3.png")
        ready(page)
        assert loaded(page, "#list img") and loaded(page, "#theirs-image")
        page.reload()
        page.wait_for_selector("#state:has-text('6 reference photographs')")
        assert page.is_hidden("#key-dialog") and token not in page.content()
        context.close()


def test_not_on_this_map_is_an_answer(open_page: Open, host: Host, own_index: Path, photographs: Path) -> None:
    calibrate(own_index, on_map=0.01)
    page = open_page(host(own_index))
    choose(page, photographs / "3.png")
    ready(page)
    assert page.inner_text("#verdict") == "The map “own_index” does not show this place"
    assert page.locator("#list li").count() == 5 and page.locator("#map .mark-here").count() == 0
    assert state(page) == ("absent", "Not on this map")
    assert page.is_visible("[data-key=match]") and page.is_hidden("[data-key=here]")


def state(page: Any) -> tuple[str, str]:
    """The state of the first photograph and its words, which are the same in strip, card and, if it is there, map."""
    badges = [
        badge
        for badge in ("#film li:first-child .badge", "#overline .badge", "#map .badge")
        if page.query_selector(badge)
    ]
    assert badges[:2] == ["#film li:first-child .badge", "#overline .badge"]
    ((kind, words),) = {(page.get_attribute(badge, "data-verdict"), page.inner_text(badge)) for badge in badges}
    assert page.get_attribute("#where", "data-verdict") == kind
    return kind, words


def colours(page: Any) -> set[str]:
    """Of the mark in the strip, of the card's words, and of the estimate on the map."""
    return {
        page.evaluate("([selector, name]) => getComputedStyle(document.querySelector(selector))[name]", wanted)
        for wanted in (
            ["#film .sign", "backgroundColor"],
            ["#overline .badge", "color"],
            ["#overline .sign", "backgroundColor"],
            ["#map .badge", "color"],
            ["#map .mark-here", "borderTopColor"],
            ["#map .uncertainty", "stroke"],
        )
    }


def test_each_of_the_four_states_has_words_a_colour_and_a_mark(
    open_page: Open, host: Host, own_index: Path, photographs: Path
) -> None:
    likely = {"likely": 0.95, "less": 0.7, "hardly": 0.3}
    maps = [shutil.copytree(own_index, own_index.parent / name) for name in (*likely, "plain")]
    for folder in maps[:3]:
        calibrate(folder, right=likely[folder.name])
    (own_index.parent / "plain" / "calibration.json").unlink()
    page = open_page(host(tuple(map(str, maps))))
    choose(page, photographs / "3.png")
    ready(page)
    seen: dict[str, str] = {}
    for name, expected in (
        ("likely", ("located", "Located")),
        ("less", ("probably", "Probably here")),
        ("hardly", ("probably", "Perhaps here")),
        ("plain", ("closest", "Closest match, not calibrated")),
    ):
        page.select_option("#index", name)
        page.locator("#overline .badge").filter(has_text=expected[1]).wait_for()
        ready(page)
        assert state(page) == expected
        (colour,) = colours(page)
        assert seen.setdefault(expected[0], colour) == colour
        assert page.is_hidden("#chance") == (name == "plain")
        if name == "plain":
            assert page.inner_text("#verdict") == "place 3"
            assert "has not been measured" in page.inner_text("#explanation")
        else:
            assert page.inner_text("#chance-text") == f"{100 * likely[name]:.0f} % likely to be right within 25 m"
    assert len(set(seen.values())) == len(seen) == 3


def test_a_place_without_a_position_is_named(
    open_page: Open, host: Host, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "unplaced", ignore=shutil.ignore_patterns("locations.csv"))
    build_index(
        str(tmp_path / "unplaced"), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False)
    )
    calibrate(tmp_path / "map")
    page = open_page(host(tmp_path / "map"))
    choose(page, photographs / "3.png")
    ready(page)
    assert page.inner_text("#verdict") == "3"
    assert state(page) == ("located", "Recognised")
    assert page.inner_text("#chance-text") == "95 % likely to be right"
    assert (
        page.inner_text("#explanation")
        == "It is match 1; no other of the 6 best shows this place. Its position is not known."
    )
    assert page.is_hidden("#position") and page.is_hidden("#map")


def test_headline_and_picture_show_the_same_place_and_the_page_says_why(
    open_page: Open, host: Host, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "references"
    query = lone_and_crowd(photographs, folder)
    build_index(str(folder), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    page = open_page(host(tmp_path / "map", k=1))
    query.save(tmp_path / "query.png")
    choose(page, tmp_path / "query.png")
    ready(page)
    headline = page.inner_text("#verdict")
    assert headline.startswith("crowd") and page.inner_text("#theirs-place") == headline
    assert page.inner_text("#theirs-rank") == "2"
    assert page.locator("#list .name").all_inner_texts() == ["alone", headline]
    assert page.locator("#list .answer-mark:visible").count() == 1
    assert page.get_attribute("#list li:nth-child(2) button", "aria-pressed") == "true"
    assert page.inner_text("#explanation").startswith(
        "5 of the 6 best matches lie here, the best of them as match 2; match 1 is more similar, but shows another"
    )


def test_choosing_another_index_looks_up_every_photograph_in_it(
    open_page: Open, host: Host, index: Path, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "unplaced", ignore=shutil.ignore_patterns("locations.csv", "[2-5].png"))
    build_index(
        str(tmp_path / "unplaced"),
        str(encoder_folder),
        tmp_path / "unplaced map",
        BuildOptions(device="cpu", progress=False),
    )
    maps = (f"placed={index}", f"unplaced={tmp_path / 'unplaced map'}")
    page = open_page(host(maps))
    choose(page, photographs / "1.png", photographs / "0.png")
    ready(page, 2)
    page.select_option("#index", "unplaced")
    page.wait_for_selector("#timing:has-text('2 photographs')")
    ready(page, 2)
    assert page.inner_text("#verdict") == "1" and page.is_hidden("#map")
    assert page.locator("#list .name").all_inner_texts() == ["1", "0"]


def test_tiles_come_only_from_the_given_server(browser: Any, index: Path) -> None:
    with hosted(index, tiles=TILE) as address:
        policy = httpx.get(address).headers["content-security-policy"]
        assert "img-src 'self' blob: data: https://tile.example.org;" in policy
        page = browser.new_page()
        asked: list[str] = []

        def tile(route: Any) -> None:
            asked.append(route.request.url)
            route.fulfill(body=httpx.get(f"{address}/web/icon.svg").content, content_type="image/svg+xml")

        page.route("https://tile.example.org/**", tile)
        page.goto(address)
        page.wait_for_selector("#map img.leaflet-tile-loaded")
        assert re.fullmatch(r"https://tile.example.org/\d+/\d+/\d+.png", asked[0])
        assert page.inner_text(".leaflet-control-attribution") == "tile.example.org"
        page.close()


@pytest.mark.parametrize("tiles", ["https://h/{z}/{x}.png", "ftp://h/{z}/{x}/{y}", "https://h; x/{z}/{x}/{y}", "h"])
def test_an_invalid_tile_server_is_rejected(tiles: str) -> None:
    with pytest.raises(DacoError, match="--tiles"):
        load_settings({"index": "x", "tiles": tiles})


def test_the_page_has_a_dark_mode_and_fits_a_phone(open_page: Open, server: str, photographs: Path) -> None:
    page = open_page(
        server, color_scheme="dark", viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True
    )
    assert page.is_visible(".camera") and page.get_attribute("#camera", "capture") == "environment"
    choose(page, photographs / "3.png")
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert max(red, green, blue) < 60


def test_an_index_in_a_local_frame_is_answered_in_metres_and_without_a_map(
    open_page: Open, host: Host, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "hall", ignore=shutil.ignore_patterns("locations.csv"))
    rows = "".join(f"{number}.png,2.5,{number * 10}\n" for number in range(6))
    (tmp_path / "hall" / "poses.csv").write_text(f"file,x,y\n{rows}")
    build_index(
        str(tmp_path / "hall"), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False)
    )
    calibrate(tmp_path / "map")
    page = open_page(host(tmp_path / "map"))
    choose(page, photographs / "3.png")
    ready(page)
    assert page.inner_text("#coordinates").startswith("x 2.50, y ")
    assert page.is_hidden("#open") and page.is_hidden("#map")
    assert "m away" in page.inner_text("#list")
