"""Accessibility: axe finds no violation in any state of the page, and the keyboard alone suffices."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from daco_index.build import BuildOptions, build_index
from daco_serve.operation.keys import KeyFile

from .conftest import calibrate, hosted
from .page_actions import Host, Open, choose, faults, ready

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_the_way_through_the_page(
    open_page: Open, server: str, photographs: Path, view: dict[str, object]
) -> None:
    page = open_page(server, bypass_csp=True, troubled=True, reduced_motion="reduce", **view)

    def check(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert faults(page) == [], f"{state}, {scheme}"

    check("empty")
    choose(page, photographs / "3.png", photographs / "4.png", Path(__file__))
    ready(page, 2)
    check("located")
    page.check("input[value=fade]", force=True)
    check("fading")
    page.click("#enlarge")
    check("enlarged")
    page.keyboard.press("Escape")
    page.click(".browse")
    page.wait_for_selector(".reference b:has-text('place')")
    check("browsing")
    page.wait_for_selector("#film li:nth-child(3) [data-state=failed]")
    page.click("#film li:nth-child(3) button")
    check("failed")


def test_axe_finds_nothing_on_the_other_verdicts(
    open_page: Open, host: Host, own_index: Path, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "unplaced", ignore=shutil.ignore_patterns("locations.csv"))
    options = BuildOptions(device="cpu", progress=False, samples=photographs)
    build_index(str(tmp_path / "unplaced"), str(encoder_folder), tmp_path / "without", options)
    calibrate(own_index, right=0.7)
    shutil.copytree(own_index, tmp_path / "elsewhere")
    calibrate(tmp_path / "elsewhere", on_map=0.01)
    shutil.copytree(own_index, tmp_path / "plain")
    (tmp_path / "plain" / "calibration.json").unlink()
    page = open_page(
        host((str(own_index), *(str(tmp_path / name) for name in ("elsewhere", "plain", "without")))), bypass_csp=True
    )
    seen = []
    for name in ("own_index", "elsewhere", "plain", "without"):
        page.select_option("#index", name)
        page.wait_for_selector(f"#state:has-text('{name}: 6')")
        assert faults(page) == [], name
        choose(page, photographs / "3.png")
        ready(page)
        seen.append(page.get_attribute("#where", "data-verdict"))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert faults(page) == [], f"{name}, {scheme}"
        page.click("#over")
    assert seen == ["probably", "absent", "closest", "closest"]


def test_axe_finds_nothing_where_a_key_is_asked_for(browser: Any, index: Path, tmp_path: Path) -> None:
    KeyFile(tmp_path / "keys.json").add("page")
    with hosted(index, keys=tmp_path / "keys.json") as address:
        page = browser.new_page(bypass_csp=True)
        page.goto(address)
        page.wait_for_selector("#key-dialog[open]")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert faults(page) == [], scheme
        page.close()


def test_the_keyboard_alone_goes_from_choosing_a_photograph_to_the_answer(
    open_page: Open, server: str, photographs: Path
) -> None:
    page = open_page(server)
    page.on("filechooser", lambda chooser: None)

    def tab_to(wanted: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
                return
        raise AssertionError(f"The tab key does not reach {wanted}.")

    tab_to("#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(photographs / "2.png"))
    ready(page)
    page.wait_for_function("() => document.getElementById('spoken').textContent.startsWith('Located: place 2')")
    for part in ("#film button", "#copy", "#openstreetmap", "#share", "#enlarge", "#list button"):
        tab_to(part)
