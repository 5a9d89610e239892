"""Promises of `daco-bench sequence`: each method is judged alike, and a sequence helps where frames are weak."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.sequence.ride import METHODS, Ride, measure_sequence
from daco_index.build import BuildOptions, build_index
from daco_index.search.catalog import Entry
from daco_serve.engine.tracking import Motion, States


def ride(noise: float) -> Ride:
    states = States([Entry(number, f"{number}", f"{number}", None, None, None, 1, 1, "") for number in range(80)])
    random = np.random.default_rng(0)
    apart = np.abs(np.arange(60)[:, None] - np.arange(80)[None])
    similarity = 0.5 + 0.2 * np.exp(-apart / 2) + random.normal(0, noise, apart.shape)
    return Ride(states, similarity.astype(np.float32), apart <= 3, Motion(), 1.0)


def test_a_sequence_finds_what_single_frames_do_not() -> None:
    report = ride(noise=0.08).report()
    assert set(report.right) == set(METHODS)
    assert report.right["single frame"] < 0.8
    assert report.settled["filter"] > 0.95
    assert report.settled["filter, smoothed"] >= report.settled["filter"]
    assert report.recovered > 0.9
    assert report.by_length[-1] > report.by_length[0]


def test_nothing_is_found_where_similarity_says_nothing() -> None:
    blind = ride(noise=0.08)
    blank = Ride(blind.states, np.full_like(blind.similarity, 0.5), blind.right, Motion(), 1.0)
    report = blank.report()
    assert report.lost == 1.0
    assert report.frames_until_found > 10


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ride")
    for number in range(24):
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((80, 64), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


def test_the_command_reports_a_ride(frames: Path, small_encoder: Path, tmp_path: Path) -> None:
    build_index(str(frames), str(small_encoder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    words = ["sequence", str(frames), "--index", str(tmp_path / "map"), "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--frames", "1", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["frames"] == 24
    assert report["right"]["single frame"] == 1.0  # the references themselves
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code != 0
    assert "--frames" in str(refused.exception)


def test_a_frame_that_cannot_be_read_does_not_shift_the_others(
    frames: Path, small_encoder: Path, tmp_path: Path
) -> None:
    build_index(str(frames), str(small_encoder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    ridden = tmp_path / "ride"
    shutil.copytree(frames, ridden)
    (ridden / "3.png").write_bytes(b"rubbish")
    report = measure_sequence(tmp_path / "map", str(ridden), frames=0, device="cpu", progress=False)
    assert report.frames == 23
    assert report.right["single frame"] == 1.0
