"""Recall over the camera's displacement and rotation, on a rendered city and on warped photographs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.viewpoint.warps import AMOUNTS, REFERENCE, WINDOW, Warp

from ..local_parts import draw_streets, save_grid_encoder

PIXELS = 128


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as `daco-data demo --viewpoint` makes it, whose cameras move by so many eighths of a picture."""
    root = tmp_path_factory.mktemp("viewpoints")
    save_grid_encoder(root / "encoder")
    city = root / "town"
    (city / "original").mkdir(parents=True)
    (city / "domains.json").write_text('{"domain_a": "day", "domain_b": "night"}')
    draw_streets(city / "original/domain_a/val", 24)
    _move(city, "original/domain_b/val", 0, 0.5)
    for metres, eighths in (("2m_15deg", 2), ("10m_0deg", 5)):
        _move(city, f"viewpoint/{metres}/domain_a/val", eighths, 1.0)
        _move(city, f"viewpoint/{metres}/domain_b/val", eighths, 0.5)
    return root


def _move(city: Path, folder: str, eighths: int, light: float) -> None:
    (city / folder).mkdir(parents=True)
    for number, file in enumerate(sorted((city / "original/domain_a/val").iterdir())):
        noise = np.random.default_rng([eighths, number]).integers(0, 255, (PIXELS, PIXELS, 3), dtype=np.uint8)
        moved = Image.fromarray(noise)
        moved.paste(Image.open(file), (PIXELS * eighths // 8, 0))
        Image.fromarray((np.asarray(moved) * light).astype(np.uint8)).save(city / folder / file.name)


def invoke(root: Path, *options: str) -> Any:
    common = ["--encoder", str(root / "encoder"), "--device", "cpu", "--data-root", str(root)]
    return CliRunner().invoke(app, ["viewpoint", *options, *common])


def measure(root: Path, *options: str) -> list[dict[str, Any]]:
    done = invoke(root, *options, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["rows"]


def test_each_viewpoint_is_measured_in_each_condition_without_and_with_re_ranking(root: Path) -> None:
    rows = measure(root, "town")
    found = {(row["viewpoint"], row["direction"], row["method"]): row for row in rows}
    method, again = rows[0]["method"], f"{rows[0]['method']}, re-ranked"
    views = ["10 m", "2 m, 15 degrees"]
    assert list(found) == [
        *((view, "day->day", way) for view in views for way in (method, again)),
        *((view, "night->day", way) for view in ["unchanged", *views] for way in (method, again)),
    ]
    assert {row["change"]: row["amount"] for row in rows} == {"moved": 10, "moved and turned": 2, "none": 0}
    near, far = (found[view, "day->day", again]["recall"]["R@1"] for view in reversed(views))
    assert near > far, "the farther the camera, the harder"
    plain = found["2 m, 15 degrees", "day->day", method]
    assert near > plain["recall"]["R@1"]
    assert found["2 m, 15 degrees", "day->day", again]["recall"]["R@20"] == plain["recall"]["R@20"]
    assert plain["queries"] == 24 and plain["interval"]["R@1"][0] < plain["recall"]["R@1"]


def test_only_the_same_place_is_right_and_the_reference_condition_can_be_chosen(root: Path) -> None:
    rows = measure(root, "town", "--references", "night", "--rerank", "0", "--ranks", "1,24")
    assert {row["direction"] for row in rows} == {"day->night", "night->night"}
    assert all("re-ranked" not in row["method"] for row in rows)
    assert all(row["recall"]["R@24"] == 100 > row["recall"]["R@1"] for row in rows if row["viewpoint"] == "10 m")


def test_photographs_are_warped_by_known_amounts(root: Path) -> None:
    photographs = str(root / "town/original/domain_a/val")
    rows = measure(root, "--database", photographs, "--ranks", "1")
    assert [row["viewpoint"] for row in rows[::2]] == [
        "10 % sideways", "20 % sideways", "30 % sideways", "zoom 0.7", "zoom 1.4", "zoom 2",
        "oblique 10 degrees", "oblique 20 degrees", "oblique 30 degrees", "roll 5 degrees", "roll 10 degrees",
        "roll 20 degrees",
    ]  # fmt: skip
    plain = {row["viewpoint"]: row["recall"]["R@1"] for row in rows[::2]}
    assert plain["roll 5 degrees"] > plain["zoom 2"] and plain["oblique 10 degrees"] > 50


def test_a_folder_of_queries_is_warped_and_evaluated_by_its_own_rule(root: Path) -> None:
    day, night = (str(root / f"town/original/domain_{letter}/val") for letter in "ab")
    strict = measure(root, "--database", day, "--queries", night, "--frames", "0", "--rerank", "0")
    lenient = measure(root, "--database", day, "--queries", night, "--frames", "23", "--rerank", "0")
    assert strict[0]["viewpoint"] == "unchanged" and strict[0]["direction"] == "val->val"
    assert all(row["recall"]["R@1"] == 100 for row in lenient)
    assert any(row["recall"]["R@1"] < 100 for row in strict)


def test_the_table_and_the_curves_are_written(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the curves need matplotlib, which is not installed (extra plot)")
    done = invoke(root, "town", "--markdown", "--out", str(tmp_path / "curves.svg"))
    assert done.exit_code == 0, done.output
    assert "| 2 m, 15 degrees | night->day |" in done.stdout
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.count('<g id="axes_') == 4, "two conditions, two kinds of change"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Name either a rendered city or"),
        (("town", "--database", "x"), "Name either a rendered city or"),
        (("town", "--frames", "1"), "are for --database"),
        (("town", "--split", "test"), "--split must be train or val"),
        (("halfway",), "does not have the places of"),
        (("plain",), "daco-data demo --viewpoint 5,30 adds them"),
    ],
)
def test_an_impossible_measurement_is_reported_in_one_sentence(
    root: Path, options: tuple[str, ...], words: str
) -> None:
    (root / "plain/original/domain_a/val").mkdir(parents=True, exist_ok=True)
    draw_streets(root / "halfway/original/domain_a/val", 3)
    draw_streets(root / "halfway/viewpoint/5m_30deg/domain_a/val", 2)
    done = invoke(root, *options)
    assert done.exit_code != 0
    assert words in str(done.exception)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (2000, 250)])
def test_every_window_lies_within_its_photograph(size: tuple[int, int]) -> None:
    for kind, amounts in AMOUNTS.items():
        for amount in amounts:
            for way in (1, -1) if kind != "zoom" else (1,):
                corners = Warp(kind, way * amount).corners(*size)
                assert corners.min() >= 0 and (corners <= size).all(), (kind, way * amount)


def test_windows_are_moved_enlarged_turned_and_foreshortened_by_the_given_amounts() -> None:
    middle = REFERENCE.corners(640, 480)
    assert middle[2] - middle[0] == pytest.approx([640 * WINDOW, 480 * WINDOW])
    shifted = Warp("shift", 20).corners(640, 480)
    assert shifted - middle == pytest.approx(np.tile([0.2 * 640 * WINDOW, 0], (4, 1)))
    zoomed = Warp("zoom", 2).corners(640, 480)
    assert zoomed[2] - zoomed[0] == pytest.approx((middle[2] - middle[0]) / 2)
    rolled = Warp("roll", 10).corners(640, 480)
    across = rolled[1] - rolled[0]
    assert np.hypot(*across) == pytest.approx(640 * WINDOW)
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(10), "clockwise, as y points down"
    seen = Warp("oblique", 20).corners(640, 480)
    left, right = seen[3, 1] - seen[0, 1], seen[2, 1] - seen[1, 1]
    assert left > middle[3, 1] - middle[0, 1] > right, "from the right, the left of the wall is farther"
    assert Warp("oblique", 0).corners(640, 480) == pytest.approx(middle)


def test_a_view_contains_the_pixels_of_its_window() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    photograph = Image.fromarray(pixels)
    assert np.asarray(REFERENCE.apply(photograph)) == pytest.approx(pixels[20:80, 20:80])
    assert np.asarray(Warp("shift", 20).apply(photograph)) == pytest.approx(pixels[20:80, 32:92])
