"""A calibration predicts how often answers are right, and the server loads and applies it."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.calibration.fitting import Origin, Outcomes, fit
from daco_bench.calibration.held_out import TURNS, calibration_curve, make_folds
from daco_bench.calibration.name_rule import Names
from daco_bench.calibration.own import calibrate
from daco_bench.cli.main import app
from daco_bench.indexed_queries import IndexedQueries
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.references.find import Reference
from daco_serve.engine.answers import Estimate
from daco_serve.engine.calibration import ActiveCalibration, Calibration, find_calibration
from daco_serve.engine.localize import localize
from daco_serve.engine.service import Service
from daco_serve.operation.settings import ServeSettings

from .conftest import hosted
from .test_localize import match


def outcomes(count: int = 4000) -> Outcomes:
    """Queries whose chance of being right is a logistic function of their similarity, a third of them off the map."""
    random = np.random.default_rng(0)
    similarity = random.uniform(-1, 1, count)
    on_map = random.random(count) < 2 / 3
    right = on_map & (random.random(count) < 1 / (1 + np.exp(-6 * similarity)))
    evidence = np.column_stack([similarity + 2 * on_map, random.normal(size=(count, 3))])
    error = np.where(right, random.uniform(0, 20, count), random.uniform(25, 1000, count))
    return Outcomes(evidence, right, on_map, error, np.ones(count), np.arange(count))


def fitted(seen: Outcomes) -> Calibration:
    return fit(seen, 1000.0, Origin(encoder="f", references=100, queries="q", elsewhere=0.3))


def test_predicted_probabilities_agree_with_observed_frequencies_on_unseen_queries() -> None:
    everything = outcomes()
    even = np.arange(len(everything.right)) % 2 == 0
    calibration, unseen = fitted(everything.part(even)), everything.part(~even)
    said = np.array([calibration.right(row) for row in unseen.evidence])
    for least in (0.0, 0.25, 0.5, 0.75):
        inside = (said >= least) & (said < least + 0.25)
        if inside.sum() > 100:
            assert said[inside].mean() == pytest.approx(unseen.right[inside].mean(), abs=0.08)
    on_map = np.array([calibration.on_map(row) for row in unseen.evidence])
    assert on_map[unseen.on_map].mean() > 0.85 > 0.3 > on_map[~unseen.on_map].mean()


def test_queries_near_each_other_are_held_out_together_with_varying_borders() -> None:
    metres = np.arange(0.0, 2000.0, 5.0)
    truths = [Reference(f"{at}.jpg", "street", latitude=45.0 + at / 111195, longitude=7.0) for at in metres]
    turns = [make_folds(truths, turn, Names()) for turn in range(TURNS)]
    borders = [set(metres[1:][np.diff(folds) != 0].tolist()) for folds in turns]
    for one in borders:  # a grid of about 200 m: never two borders nearer than that
        assert len(one) > 3
        assert np.diff(sorted(one)).min() > 200
    assert not borders[0] & borders[1] and not borders[1] & borders[2]


def test_the_radius_contains_the_truth_in_68_of_100_cases_and_grows_with_uncertainty() -> None:
    seen = outcomes()
    calibration = fitted(seen)
    chances = [calibration.right(row) for row in seen.evidence]
    radii = np.array([calibration.radius(chance, 1000.0) for chance in chances])
    held = (seen.error <= radii)[seen.on_map]
    assert held.mean() == pytest.approx(0.68, abs=0.08)
    sure, unsure = calibration.radius(0.95, 1000.0), calibration.radius(0.3, 1000.0)
    assert sure is not None and unsure is not None and sure < 20 < 25 < unsure


def test_queries_that_were_all_right_do_not_give_a_probability_of_1() -> None:
    seen = outcomes()
    assert 0.5 < fitted(seen.part(seen.right)).right(seen.evidence[0]) < 1


def test_a_low_probability_of_being_on_the_map_gives_the_verdict_not_on_map() -> None:
    calibration = fitted(outcomes())
    calibration.is_on_map.bias = -100
    estimate = localize([match(1, 0.9, 0.0, 0.0)], ActiveCalibration("own", calibration), 1000.0)
    assert estimate == Estimate("not_on_map", 0, considered=1)


def test_an_answer_without_a_position_has_a_place_and_a_probability() -> None:
    calibration = fitted(outcomes())
    calibration.is_on_map.bias = 100
    estimate = localize([match(1, 0.9, None, None)], ActiveCalibration("own", calibration), None)
    assert (estimate.verdict, estimate.location) == ("no_position", None)
    assert estimate.best is not None and estimate.best.entry.place == "place 1"
    assert estimate.probability is not None and 0 < estimate.probability < 1


@pytest.fixture
def wide_map(photographs: Path, encoder_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The index of photographs a kilometre apart, and a folder of darker ones of the same places."""
    references, queries = tmp_path / "references", tmp_path / "queries"
    for folder, count in ((references, 6), (queries, 24)):
        folder.mkdir()
        for number in range(count):
            with Image.open(photographs / f"{number % 6}.png") as image:
                gain = 1.0 if folder is references else 0.4 + number / 48
                image.point([int(value * gain) for value in range(256)] * 3).save(folder / f"{number:02}.png")
        kilometre = 1000 / 111195
        write_locations(
            folder, {f"{number:02}.png": PhotoLocation(35.0 + number % 6 * kilometre, 139.0) for number in range(count)}
        )
    build_index(str(references), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    return tmp_path / "map", queries


def test_the_command_stores_the_calibration_in_the_index_and_a_running_server_loads_it(
    wide_map: tuple[Path, Path], photographs: Path, encoder_folder: Path
) -> None:
    index, queries = wide_map
    content = (photographs / "3.png").read_bytes()
    with hosted(index, reload_seconds=0.1) as address:

        def answer() -> dict[str, Any]:
            given: dict[str, Any] = httpx.post(f"{address}/v1/query", content=content).json()
            return given

        before = answer()
        assert before["on_map"] is None and before["index"]["calibrated"] is None
        assert before["verdict"] == "uncalibrated"
        assert before["location"]["probability"] is None and not before["location"]["calibrated"]
        result = CliRunner().invoke(app, ["calibrate", str(queries), "--index", str(index), "--json"])
        assert result.exit_code == 0, result.output
        held_out = json.loads(result.stdout)["held_out"]
        assert held_out["curve"] and 0 <= held_out["error"] <= 1 and 0 <= held_out["within_radius"] <= 1
        deadline = time.monotonic() + 20
        while not answer()["index"]["calibrated"] and time.monotonic() < deadline:
            time.sleep(0.05)
        after = answer()
        assert after["verdict"] == "located" and after["location"]["calibrated"]
        assert after["index"]["calibrated"] == "own"
        assert 0.5 < after["location"]["probability"] <= 1 and 0.5 < after["on_map"] <= 1
        assert after["location"]["uncertainty_metres"] < before["location"]["uncertainty_metres"] * 100
        # it stays when the index gets another generation, and its encoder's fingerprint is what it was
        build_index(
            str(index.parent / "references"), str(encoder_folder), index, BuildOptions(device="cpu", progress=False)
        )
        while answer()["index"]["generation"] == 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert answer()["index"]["calibrated"]
        assert answer()["index"]["encoder"] == before["index"]["encoder"]


def test_a_bin_of_queries_with_no_weight_is_left_out() -> None:
    said, right = np.array([0.05, 0.95, 0.95]), np.array([0.0, 1.0, 1.0])
    (point,) = calibration_curve(said, right, np.array([0.0, 0.5, 0.5]))
    assert (point.share, point.observed) == (1.0, 1.0)


def test_a_calibration_of_another_encoder_or_map_is_not_used(tmp_path: Path) -> None:
    fitted(outcomes()).save(tmp_path / "calibration.json")
    assert find_calibration(tmp_path, "f", 150) is not None
    assert find_calibration(tmp_path, "another", 100) is None
    assert find_calibration(tmp_path, "f", 300) is None and find_calibration(tmp_path, "f", 30) is None


def test_a_calibration_of_format_1_uses_the_evidence_of_that_format(tmp_path: Path) -> None:
    seen = outcomes()
    random = np.random.default_rng(1)
    eight = replace(seen, evidence=np.column_stack([seen.evidence, random.normal(size=(len(seen.right), 4))]))
    new = fitted(eight).model_dump()
    old = {**new, "format_version": 1, "mean": new["mean"][:7], "deviation": new["deviation"][:7]}
    old |= {name: {**new[name], "weights": new[name]["weights"][:7]} for name in ("is_right", "is_on_map")}
    del old["map_similarity"]
    (tmp_path / "calibration.json").write_text(json.dumps(old))
    found = find_calibration(tmp_path, "f", 100, reranks=True)
    assert found is not None and found.calibration.has_votes
    evidence = eight.evidence[0, :7].tolist()
    assert found.calibration.applies([*evidence, 5.0]) and not found.calibration.applies(evidence[:4])
    assert found.calibration.on_map([*evidence, 5.0]) == found.calibration.on_map([*evidence, -5.0])
    (tmp_path / "calibration.json").write_text(json.dumps({**old, "format_version": 2}))
    assert find_calibration(tmp_path, "f", 100, reranks=True) is None  # seven are not what the second format has


def test_a_prior_requires_more_similarity_on_a_map_whose_places_resemble_each_other() -> None:
    usual = fitted(outcomes()).model_copy(update={"map_similarity": 0.4})
    alike = usual.for_map(0.6)
    evidence = outcomes().evidence[0].tolist()
    assert alike.on_map(evidence) < usual.on_map(evidence)
    assert alike.on_map([evidence[0] + 0.2, *evidence[1:]]) == pytest.approx(usual.on_map(evidence))
    assert usual.for_map(None) == usual and fitted(outcomes()).for_map(0.6) == fitted(outcomes())


@pytest.mark.parametrize(
    "damage",
    [
        "{}",
        "not JSON",
        {"mean": [0.0, 0.0, 0.0]},
        {"mean": []},
        {"deviation": [1.0, 0.0, 1.0, 1.0]},
        {"is_right": {"bias": math.nan, "weights": [0.0] * 4}},
        {"is_on_map": {"bias": 0.0, "weights": [0.0, math.inf, 0.0, 0.0]}},
        {"is_on_map": {"bias": 0.0, "weights": [0.0] * 5}},
        {"right_errors": [1.0, math.inf]},
        {"right_errors": [2.0, 1.0]},
        {"wrong_errors": [0.5]},
        {"wrong_errors": [-1.0, 1.0]},
        {"format_version": 999},
    ],
)
def test_an_invalid_calibration_is_ignored_and_logged_once(
    uncalibrated_index: Path, photographs: Path, damage: dict[str, object] | str, caplog: pytest.LogCaptureFixture
) -> None:
    content = damage if isinstance(damage, str) else json.dumps({**fitted(outcomes()).model_dump(), **damage})
    (uncalibrated_index / "calibration.json").write_text(content)
    assert find_calibration(uncalibrated_index, "f", 100) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert "calibration.json" in line
    service = Service(ServeSettings(index=(str(uncalibrated_index),), device="cpu"))
    service.load()
    assert service.live.calibration is None
    service.close()


def test_too_few_queries_are_rejected(index: Path, photographs: Path) -> None:
    with pytest.raises(DacoError, match="20"):
        calibrate(IndexedQueries(index, str(photographs), device="cpu"), progress=False)


def test_a_query_that_is_on_the_map_is_not_its_own_answer(wide_map: tuple[Path, Path]) -> None:
    index, _ = wide_map
    with pytest.raises(DacoError, match="Only 0 photographs"):
        calibrate(IndexedQueries(index, str(index.parent / "references"), device="cpu"), progress=False)


@pytest.fixture
def route(encoder_folder: Path, tmp_path: Path) -> tuple[Path, list[Image.Image]]:
    """The index of 24 numbered photographs without positions, and the photographs."""
    (tmp_path / "route").mkdir()
    images = []
    for number in range(24):
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        images.append(Image.fromarray(blocks).resize((200, 160), Image.Resampling.NEAREST))
        images[-1].save(tmp_path / "route" / f"{number:03}.png")
    options = BuildOptions(device="cpu", progress=False)
    build_index(str(tmp_path / "route"), str(encoder_folder), tmp_path / "map", options)
    return tmp_path / "map", images


def test_without_positions_neighbouring_frames_count_as_right(
    route: tuple[Path, list[Image.Image]], tmp_path: Path
) -> None:
    index, images = route
    queries = tmp_path / "queries"
    queries.mkdir()
    for number in range(23):  # each query is named after the frame before the one that it shows
        images[number + 1].save(queries / f"night_{number:03}.png")
    with pytest.raises(DacoError, match="Only 0 photographs"):
        calibrate(IndexedQueries(index, str(queries), device="cpu"), progress=False)
    found = calibrate(IndexedQueries(index, str(queries), device="cpu"), progress=False, frames=1)
    assert (found.count, found.recall) == (23, 1.0)
    assert calibrate(IndexedQueries(index, str(queries), device="cpu"), progress=False, frames=0).recall == 0.0
    (queries / "gate.png").write_bytes((queries / "night_000.png").read_bytes())
    with pytest.raises(UsageError, match="'gate' has no number"):
        calibrate(IndexedQueries(index, str(queries), device="cpu"), progress=False, frames=1)


def test_the_option_frames_is_rejected_for_maps_with_positions(wide_map: tuple[Path, Path]) -> None:
    index, queries = wide_map
    with pytest.raises(UsageError, match="within 25 m"):
        calibrate(IndexedQueries(index, str(queries), device="cpu"), progress=False, frames=1)


def test_a_calibration_that_is_no_better_than_the_mean_is_written_only_with_force(
    route: tuple[Path, list[Image.Image]], tmp_path: Path
) -> None:
    index, images = route
    queries = tmp_path / "queries"
    queries.mkdir()
    for number, image in enumerate(images):  # half of them show another place than their name says
        (images[(number + 7) % 24] if number % 2 else image).save(queries / f"{number:03}.png")
    command = ["calibrate", str(queries), "--index", str(index), "--elsewhere", "0", "--frames", "0"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, DacoError) and "--force" in str(result.exception)
    assert not (index / "calibration.json").exists()
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
    assert (index / "calibration.json").exists()
