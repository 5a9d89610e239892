"""A prior is fitted on several sets and evaluated on another one."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from daco_bench.calibration.prior import Pair, area_under_curve
from daco_bench.cli.main import app
from daco_core.errors import UsageError
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.search.bundle import Bundle
from daco_serve.engine.calibration import read_calibration
from daco_serve.engine.references.likeness import similarity_elsewhere

from ..local_parts import draw_streets, save_grid_encoder


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two maps of different places, with local descriptors, and one without."""
    root = tmp_path_factory.mktemp("maps")
    encoder = save_grid_encoder(root / "encoder")
    for name, count in (("north", 24), ("south", 30)):
        draw_streets(root / name, count)
        if name == "north":  # two photographs 11 m apart, the next two a kilometre away
            there = {
                f"{number:03d}.png": PhotoLocation(0.01 * (number // 2) + 1e-4 * (number % 2), 0.0)
                for number in range(24)
            }
            write_locations(root / name, there)
        options = BuildOptions(progress=False, device="cpu", precision="fp32")
        build_index(str(root / name), str(encoder), root / f"{name}-map", options)
    bare = BuildOptions(progress=False, device="cpu", precision="fp32", local="none")
    build_index(str(root / "north"), str(encoder), root / "bare", bare)
    draw_streets(root / "queries", 24)
    return root


def test_each_set_is_evaluated_with_a_prior_of_the_others_and_the_file_is_fitted_on_all(maps: Path) -> None:
    pairs = [f"{name}={maps / name}-map,{maps / 'queries'}" for name in ("north", "south")]
    done = CliRunner().invoke(app, ["prior", *pairs, "--out", str(maps / "prior.json"), "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    reports = json.loads(done.stdout)
    assert [report["name"] for report in reports] == ["north", "south"]
    assert all(report["queries"] == [24, 24] and report["auc"] > 0.99 for report in reports)
    assert all(report["located_present"] > 0.9 for report in reports)
    prior = read_calibration(maps / "prior.json")
    assert len(prior.mean) == 8 and prior.is_on_map.weights[2] == prior.is_on_map.weights[3] == 0
    assert prior.is_on_map.weights[7] > 0 and all(0 <= report["brier"] < 0.1 for report in reports)
    assert prior.map_similarity == pytest.approx(similarity_elsewhere(Bundle.open(maps / "north-map")))
    assert prior.radius(1.0, 1000.0) == pytest.approx(17, abs=0.1)  # anywhere within 25 m
    assert prior.radius(0.0, 1000.0) == pytest.approx(680)  # anywhere on the map


def test_the_similarity_between_references_is_measured_between_distant_places(maps: Path) -> None:
    bundle = Bundle.open(maps / "north-map")
    vectors = bundle.store.vectors(np.arange(24))
    alike = vectors @ vectors.T
    place = np.arange(24) // 2
    alike[place[:, None] == place] = -1
    assert similarity_elsewhere(bundle) == pytest.approx(alike.max(axis=1).mean(), abs=1e-5)
    assert similarity_elsewhere(Bundle.open(maps / "south-map")) is None  # which has no positions
    assert similarity_elsewhere(Bundle.open(maps / "bare")) is None


def test_calibrate_needs_queries_or_copies_and_enough_of_them(maps: Path, tmp_path: Path) -> None:
    build = BuildOptions(progress=False, device="cpu", precision="fp32")
    build_index(str(draw_streets(tmp_path / "few", 4)), str(maps / "encoder"), tmp_path / "index", build)
    for arguments, said in (
        ([str(maps / "bare")], "use --self"),
        ([str(maps / "bare"), "--self"], "no local descriptors"),
        ([str(maps / "bare"), str(maps / "queries"), "--self"], "leave the queries"),
        ([str(tmp_path / "index"), "--self"], "needs 10"),
    ):
        done = CliRunner().invoke(app, ["calibrate", *arguments, "--device", "cpu"])
        assert isinstance(done.exception, UsageError) and said in str(done.exception)


def test_indexes_without_local_descriptors_and_a_single_set_are_rejected(maps: Path) -> None:
    one = f"north={maps / 'north-map'},{maps / 'queries'}"
    for pairs, said in (
        ([one], "two sets"),
        ([one, f"bare={maps / 'bare'},{maps / 'queries'}"], "no local descriptors"),
    ):
        done = CliRunner().invoke(app, ["prior", *pairs])
        assert isinstance(done.exception, UsageError) and said in str(done.exception)


@pytest.mark.parametrize("text", ["walk", "walk=map", "=map,queries", "walk=map,queries,far", "walk=map,"])
def test_an_invalid_pair_is_rejected_with_the_expected_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"=INDEX,QUERIES|not a number of frames"):
        Pair.parse(text)


def test_the_area_under_the_curve_counts_ties_half() -> None:
    truth = np.array([True, True, False, False])
    assert area_under_curve(np.array([3.0, 2.0, 1.0, 0.0]), truth) == 1
    assert area_under_curve(np.array([3.0, 1.0, 1.0, 0.0]), truth) == pytest.approx(0.875)
    assert area_under_curve(np.zeros(4), truth) == 0.5
