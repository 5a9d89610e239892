"""Recall is measured both without and with re-ranking."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.figures.framed import FRAME, Dot, FramedPhotograph, framed_sheet
from daco_bench.recall.compare import train_and_ask
from daco_bench.recall.encoders import named_engines
from daco_bench.recall.reranked import cells_of_first, embed_photographs, open_photograph, rerank, reranked_ranks
from daco_bench.recall.task import find_task
from daco_training.loop.settings import TrainOptions

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


def test_both_rankings_are_measured_with_a_paired_test_and_the_upper_bound(route: Path) -> None:
    measured = recall(route)
    plain, again = measured["rows"]
    assert again["method"] == f"{plain['method']}, re-ranked" and plain["queries"] == again["queries"] == 24
    assert list(plain["recall"]) == ["R@1", "R@2", "R@4", "R@8", "R@20"]
    assert again["recall"]["R@1"] > plain["recall"]["R@1"]
    assert again["recall"]["R@20"] == plain["recall"]["R@20"]  # what is not among the candidates is not found
    (test,) = measured["tests"]
    assert (test["method"], test["than"]) == (again["method"], plain["method"]) and test["points"] > 0


def test_half_of_the_cells_or_no_re_ranking_can_be_requested(route: Path) -> None:
    (alone,) = recall(route, "--rerank", "0")["rows"]
    plain, half = recall(route, "--small-local", "--ranks", "1")["rows"]
    assert alone["recall"]["R@1"] == plain["recall"]["R@1"] < half["recall"]["R@1"]


def test_a_trained_method_is_measured_without_and_with_re_ranking(
    route: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "town/original").mkdir(parents=True)
    for letter, folder in (("a", "map"), ("b", "moved")):
        (tmp_path / f"town/original/domain_{letter}").mkdir()
        (tmp_path / f"town/original/domain_{letter}/val").symlink_to(route / folder)
    run = TrainOptions(data_root=tmp_path, data_name="town", save_root=tmp_path / "runs", recipe="modern").resolve()
    run.encoder_folder.parent.mkdir(parents=True)
    run.encoder_folder.symlink_to(route / "encoder")
    monkeypatch.setattr("daco_bench.recall.compare.train_or_resume", lambda run: None)  # it is trained already
    answers = train_and_ask(run, "daco", 5)
    assert [(one.method, one.direction) for one in answers] == [
        (method, way) for method in ("daco", "daco, re-ranked") for way in ("a->b", "b->a", "a<->b")
    ]
    assert {one.first_stage for one in answers} == {None, "daco"}
    assert answers[3].recall(1) > answers[0].recall(1) and answers[3].recall(5) == answers[0].recall(5)
    assert reranked_ranks((1, 2), answers, 5) == (1, 2, 5) and reranked_ranks((1, 2), answers[:3], 5) == (1, 2)
    assert len(train_and_ask(run, "daco")) == 3


def strips(route: Path, out: Path, *options: str) -> Any:
    folders = ["--database", str(route / "map"), "--queries", str(route / "moved"), "--frames", "0", "--count", "2"]
    return CliRunner().invoke(app, ["strips", *folders, "--device", "cpu", "--out", str(out), *options])


def test_strips_mark_the_cells_that_agree(route: Path, tmp_path: Path) -> None:
    encoder = ("--encoder", str(route / "encoder"))
    for name, options in (("plain", ()), ("cells", ("--cells",))):
        done = strips(route, tmp_path / f"{name}.png", *encoder, *options)
        assert done.exit_code == 0, done.output
    dots = [Dot(0.25, 0.5, (255, 0, 0))]
    photograph = FramedPhotograph(sorted((route / "map").iterdir())[0])
    marked = framed_sheet([[replace(photograph, dots=tuple(dots))]], ["x"], 128)
    bare = framed_sheet([[photograph]], ["x"], 128)
    rows, columns = np.nonzero((np.asarray(marked) != np.asarray(bare)).any(axis=2))
    assert 0 < len(rows) < 60
    assert columns.mean() - marked.width / 2 == pytest.approx(-0.25 * (128 - 2 * FRAME), abs=1.5)


def test_dots_of_one_colour_lie_where_query_and_match_agree(route: Path) -> None:
    """The moved camera sees everything a quarter of a picture further to the right."""
    task = find_task(database=route / "map", queries=route / "moved", frames=0)
    ((_, engine),) = named_engines([str(route / "encoder")], "cpu").items()
    embedded = embed_photographs(engine, task.images, lambda file: open_photograph(file, engine.image_size), "encoder")
    (way,) = task.directions
    answers = rerank(task.rank(embedded.descriptors, "encoder", way), task, embedded, 20)
    for query, (rank, image) in enumerate(zip(answers.nearest.ranks, answers.nearest.images, strict=True)):
        if answers.right[query, 0]:
            assert rank == 1 and image == answers.order[query, 0]
            assert answers.nearest.scores[query] == answers.scores[query, 0]
        else:
            assert rank > 1 and answers.nearest.scores[query] <= answers.scores[query, 0]
    shifts = [
        cell.query_x - cell.reference_x
        for query in np.flatnonzero(answers.right[:, 0])
        for cell in cells_of_first(answers, task, embedded, int(query))[:5]
    ]
    assert len(shifts) > 20 and np.median(shifts) == pytest.approx(0.25)


def test_cells_of_an_encoder_without_local_descriptors_cannot_be_drawn(
    route: Path, small_encoder: Path, tmp_path: Path
) -> None:
    done = strips(route, tmp_path / "cells.png", "--cells", "--encoder", str(small_encoder))
    assert done.exit_code != 0 and "--cells needs local descriptors" in str(done.exception)
    assert not (tmp_path / "cells.png").exists()
