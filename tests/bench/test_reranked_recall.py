"""Recall is measured without re-ranking and with it, side by side."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app

from ..local_parts import draw_streets, save_grid_encoder

PIXELS = 128


@pytest.fixture(scope="module")
def route(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map, and the same places by cameras that stand a quarter of a picture to the side."""
    root = tmp_path_factory.mktemp("route")
    save_grid_encoder(root / "encoder")
    draw_streets(root / "map", 24)
    (root / "moved").mkdir()
    for number, file in enumerate(sorted((root / "map").iterdir())):
        noise = np.random.default_rng([7, number]).integers(0, 255, (PIXELS, PIXELS, 3), dtype=np.uint8)
        moved = Image.fromarray(noise)
        moved.paste(Image.open(file), (PIXELS // 4, 0))
        moved.save(root / "moved" / file.name)
    return root


def recall(route: Path, *options: str) -> dict:
    folders = ["--encoder", str(route / "encoder"), "--database", str(route / "map"), "--queries", str(route / "moved")]
    done = CliRunner().invoke(app, ["recall", *folders, "--frames", "0", "--device", "cpu", "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_both_rankings_are_measured_with_a_paired_test_and_the_bound(route: Path) -> None:
    measured = recall(route)
    plain, again = measured["rows"]
    assert again["method"] == f"{plain['method']}, re-ranked" and plain["queries"] == again["queries"] == 24
    assert list(plain["recall"]) == ["R@1", "R@2", "R@4", "R@8", "R@20"]
    assert again["recall"]["R@1"] > plain["recall"]["R@1"]
    assert again["recall"]["R@20"] == plain["recall"]["R@20"]  # what is not among the candidates is not found
    (test,) = measured["tests"]
    assert (test["method"], test["than"]) == (again["method"], plain["method"]) and test["points"] > 0


def test_half_of_the_cells_and_no_re_ranking_can_be_asked_for(route: Path) -> None:
    (alone,) = recall(route, "--rerank", "0")["rows"]
    plain, half = recall(route, "--small-local", "--ranks", "1")["rows"]
    assert alone["recall"]["R@1"] == plain["recall"]["R@1"] < half["recall"]["R@1"]
