"""`daco-bench sequence`: all methods are evaluated alike, and a sequence helps if single frames are weak."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.indexed_queries import IndexedQueries
from daco_bench.sequence.cost import measure_cost
from daco_bench.sequence.picture import ride_sheet
from daco_bench.sequence.ride import METHODS, Ride, open_ride
from daco_core.errors import UsageError
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.search.catalog import Entry
from daco_serve.engine.tracking import Motion, States


def ride(noise: float) -> Ride:
    states = States([Entry(number, f"{number}", f"{number}", None, None, None, 1, 1, "") for number in range(80)])
    random = np.random.default_rng(0)
    apart = np.abs(np.arange(60)[:, None] - np.arange(80)[None])
    similarity = 0.5 + 0.2 * np.exp(-apart / 2) + random.normal(0, noise, apart.shape)
    return Ride(states, similarity.astype(np.float32), apart <= 3, Motion())


def test_a_sequence_is_located_where_single_frames_are_not() -> None:
    report = ride(noise=0.08).report()
    assert set(report.right) == set(METHODS)
    assert report.right["single frame"] < 0.8
    assert report.settled["filter"] > 0.95
    assert report.settled["filter, smoothed"] >= report.settled["filter"]
    assert report.recovered > 0.9
    assert report.by_length[-1] > report.by_length[0]


def test_without_informative_similarities_nothing_is_located() -> None:
    blind = ride(noise=0.08)
    blank = Ride(blind.states, np.full_like(blind.similarity, 0.5), blind.right, Motion())
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


def test_the_command_reports_the_results_of_a_drive(frames: Path, small_encoder: Path, tmp_path: Path) -> None:
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
    report = open_ride(IndexedQueries(tmp_path / "map", str(ridden), device="cpu"), frames=0, progress=False).report()
    assert report.frames == 23
    assert report.right["single frame"] == 1.0


def test_each_drive_is_evaluated_independently() -> None:
    one = ride(noise=0.0)
    there = np.arange(60) + 20 * (np.arange(60) >= 30)
    apart = np.abs(there[:, None] - np.arange(80)[None])
    jumped = replace(one, similarity=(0.5 + 0.2 * np.exp(-apart / 2)).astype(np.float32), right=apart <= 3)
    for begins, is_right in (((0,), False), ((0, 30), True)):
        answer, _ = replace(jumped, begins=begins).filtered(np.arange(60))
        assert bool(jumped.right[30, answer[30]]) is is_right
    report = replace(jumped, begins=(0, 30)).report()
    assert report.settled["filter"] == report.settled["average of 10 frames"] == 1.0


def test_a_gap_that_no_vehicle_could_cross_begins_a_new_drive(
    frames: Path, small_encoder: Path, tmp_path: Path
) -> None:
    ridden = tmp_path / "ride"
    shutil.copytree(frames, ridden)
    names = [f"{number}.png" for number in range(24)]
    metres = [4 * number + 2000 * (number >= 12) for number in range(24)]
    places = {name: PhotoLocation(35 + far / 111195, 139.0, 0.0, name) for name, far in zip(names, metres, strict=True)}
    write_locations(ridden, places)
    build_index(str(ridden), str(small_encoder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    opened = open_ride(IndexedQueries(tmp_path / "map", str(ridden), device="cpu"), progress=False)
    assert opened.begins == (0, 12)
    with pytest.raises(UsageError, match="a ride needs 20"):
        open_ride(IndexedQueries(tmp_path / "map", str(ridden), device="cpu"), progress=False, every=3)


def test_the_picture_shows_frames_that_are_wrong_by_themselves(frames: Path, tmp_path: Path) -> None:
    blind = ride(noise=0.08)
    files = tuple(frames / f"{number % 24}.png" for number in range(80))
    pictured = replace(blind, frame_files=files[:60], reference_files=files)
    assert ride_sheet(pictured).height > 3 * 100
    certain = replace(pictured, similarity=pictured.right.astype(np.float32))
    with pytest.raises(UsageError, match="nothing to draw"):
        ride_sheet(certain)


def test_the_cost_of_the_filter_is_measured_during_tracking(capsys: pytest.CaptureFixture[str]) -> None:
    report = measure_cost(references=2000, frames=12)
    assert 0 < report.median_ms <= report.p95_ms
    assert 10 < report.most_states <= 1000
    done = CliRunner().invoke(app, ["filter-cost", "--references", "500", "--frames", "10", "--json"])
    assert json.loads(done.stdout)["references"] == 500
