"""`daco-bench train`: the project's training step compared with the published loop."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from daco_bench.speed.published_loop import PublishedLoop
from daco_bench.speed.training import Block, SpeedRow, _rows, to_markdown
from daco_training.loop.settings import TrainOptions

SMALL = ("--backbone", "test_resnet", "--image-size", 32, "--batch-size", 4, "--steps", 2, "--rounds", 1)


def bench(forked: Path, *options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "160"}
    command = [forked / "daco-bench", "train", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_both_loops_are_timed_alternately_and_no_process_stays(forked: Path, places: Path) -> None:
    done = bench(
        forked, "places", "--data-root", places, *SMALL, "--precisions", "fp32", "--loader-workers", 1, "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    published, ours = report["rows"]
    assert (published["name"], ours["name"]) == ("published loop", "daco-train, fp32")
    for row in (published, ours):
        assert row["images_per_second"] == pytest.approx(4 / row["step_seconds"])
        assert row["ratio"] == pytest.approx(published["step_seconds"] / row["step_seconds"])
        assert 0 <= row["waiting"] < 1
        assert row["most"] > row["ratio"] / 2
        assert row["peak_memory"] > 50e6
    assert report["machine"]["torch"] == torch.__version__
    assert not (places / "places" / "places_daco").exists()


def test_rows_are_medians_over_all_blocks_and_shares_of_the_total_time() -> None:
    blocks = {
        "published loop": [Block([4.0, 4.0, 9.0], 1.0, 100, 20.0, 60), Block([4.0, 2.0, 4.0], 2.0, 300, 30.0, 60)],
        "ours": [Block([1.0, 1.0, 1.0], 0.3, 50, 80.0, 0), Block([1.0, 7.0, 1.0], 0.0, 60, 90.0, 0)],
    }
    published, ours = _rows(blocks, batch_size=16)
    assert published == SpeedRow("published loop", 4.0, 4.0, 1.0, 2.0, 300, pytest.approx(3 / 27))
    assert ours == SpeedRow("ours", 1.0, 16.0, 4.0, 6.0, 60, pytest.approx(0.3 / 12))
    assert "| ours | 1 | 16 | 4.00 | 6.00 | 0.00 | 2.5 |" in to_markdown([published, ours])


def test_the_published_loop_learns(places: Path) -> None:
    settings = TrainOptions(
        data_root=places, data_name="places", backbone="test_resnet", image_size=32, batch_size=8
    ).resolve()
    losses = PublishedLoop(settings, torch.device("cpu"), workers=0).steps()
    taken = [next(losses) for _ in range(12)]
    assert sum(taken[-4:]) < sum(taken[:4])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["nowhere"], "nowhere"),
        (["places", "--precisions", "fp8"], "fp8"),
        (["places", "--batch-size", "64", "--image-size", "32", "--backbone", "test_resnet"], "fewer than one batch"),
        (["places", "--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(forked: Path, places: Path, options: list[str], word: str) -> None:
    done = bench(forked, *options, "--data-root", places, "--loader-workers", 0)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert word in done.stderr
