"""Tuning an index: measurements are correct, choices are stored, and limits are reported."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from daco_core.errors import DacoError
from daco_core.files import _workspaces
from daco_index.build import BuildOptions, build_index
from daco_index.cli.main import app
from daco_index.generations.change import add_photographs
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle, read_manifest
from daco_index.search.index_choice import SearchOptions
from daco_index.search.tune import TuneOptions, tune_index
from daco_index.search.tuning import OperatingPoint, pick

QUIET = TuneOptions(device="cpu", progress=False)


@pytest.fixture
def town(encoder_folder, photographs, tmp_path):
    """80 photographs in an index of 8 clusters, and 20 others to look up."""
    photographs(tmp_path / "day", 80)
    photographs(tmp_path / "night", 20)
    options = SearchOptions(factory="IVF8,SQ4")
    build_index(
        str(tmp_path / "day"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False, search=options)
    )
    return tmp_path


def test_the_chosen_setting_reaches_its_recall_and_is_used_from_then_on(town):
    report = tune_index(town / "index", str(town / "night"), replace(QUIET, recall=0.9))
    assert report.chosen in report.points
    assert report.chosen.recall >= 0.9
    bundle = Bundle.open(town / "index")
    search = bundle.manifest.search
    assert (bundle.generation, bundle.manifest.change) == (2, "tune")
    assert search.parameters == report.chosen.parameters
    assert search.requested.recall == 0.9
    assert search.measured is not None
    assert search.measured.query_source == f"the photographs of {town / 'night'}"
    assert search.measured.queries == 20
    assert bundle.store.candidates.nprobe == report.chosen.parameters["nprobe"]
    assert not [problem for one in verify_index(town / "index") for problem in one.problems]


def test_recall_grows_with_effort_up_to_1(town):
    points = tune_index(town / "index", str(town / "night"), options=replace(QUIET, publish=False)).points
    for k_factor in {point.parameters["k_factor"] for point in points}:
        line = [point.recall for point in points if point.parameters["k_factor"] == k_factor]
        assert line == sorted(line)
    assert max(point.recall for point in points) == 1.0


def test_a_dry_run_changes_nothing(town):
    before = read_manifest(town / "index")
    report = tune_index(town / "index", options=replace(QUIET, publish=False))
    assert not report.published
    assert read_manifest(town / "index") == before


def test_added_photographs_keep_the_tuned_setting(town, photographs):
    chosen = tune_index(town / "index", str(town / "night"), replace(QUIET, recall=0.5)).chosen
    photographs(town / "more", 7)
    add_photographs(town / "index", str(town / "more"), options=QUIET)
    search = read_manifest(town / "index").search
    assert (search.parameters, search.requested.recall) == (chosen.parameters, 0.5)


def test_the_fastest_setting_with_enough_recall_is_chosen_or_the_one_with_the_most():
    tried = ((1, 0.5, 1), (2, 0.9, 3), (4, 0.95, 2), (8, 1, 9))
    points = [OperatingPoint({"nprobe": n}, recall + 0.02, recall, ms) for n, recall, ms in tried]
    assert [pick(points, recall).parameters["nprobe"] for recall in (0.4, 0.9, 0.99)] == [1, 4, 8]
    assert pick(points[:3], 0.99).parameters["nprobe"] == 4


def test_an_exact_index_has_nothing_to_tune(built):
    with pytest.raises(DacoError, match="searched exactly"):
        tune_index(built[1], options=QUIET)


def test_the_command_writes_the_curve_as_table_json_and_picture(town):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    arguments = ["tune", str(town / "index"), "--queries", str(town / "night"), "--dry-run"]
    for suffix, beginning in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        file = (town / "curve").with_suffix(suffix)
        done = CliRunner().invoke(app, [*arguments, "--plot", str(file), "--json"])
        assert file.read_bytes().startswith(beginning)
        assert file.stat().st_size < 100_000
    report = json.loads(done.stdout)
    assert report["chosen"] in report["points"]
    assert np.isfinite(report["exact_milliseconds"])
    said = CliRunner().invoke(app, arguments).stdout
    assert "nprobe" in said
    assert "chosen" in said
    done = CliRunner().invoke(app, [*arguments, "--plot", str(town / "curve.svg" / "curve.svg")])
    assert "there is no folder" in str(done.exception), "refused before anything is measured"
    for taken in _workspaces(town / "late.svg"):
        taken.touch()
    done = CliRunner().invoke(app, [*arguments, "--plot", str(town / "late.svg")])
    assert isinstance(done.exception, DacoError)
    assert "The plot cannot be written" in str(done.exception)
    assert "nprobe" in done.stdout, "what was measured is not lost"
