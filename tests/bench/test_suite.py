"""`daco-bench all`: resumed runs, comparison with the previous run, and reported failures."""

import json
import os
import subprocess
from pathlib import Path

from daco_bench.report.suite.figures import figures, higher_is_better
from daco_bench.report.suite.page import sections, worse
from daco_bench.report.suite.parts import RECALLS, SERVE, SuitePart, all_parts
from daco_bench.report.suite.runs import SuiteRun, begin_run, do_parts

SETTINGS = {"name": "places"}


def recall_part(places: Path, encoder: Path, name: str = "recall") -> SuitePart:
    options = ("recall", "places", "--data-root", str(places), "--encoder", str(encoder))
    return SuitePart(name, "Recall", options, RECALLS)


def recall_of(run: SuiteRun, part: SuitePart) -> float:
    result = run.result(part)
    assert result is not None
    return float(result["rows"][0]["recall"]["R@1"])


def test_figures_are_named_by_the_texts_of_their_entries_without_intervals() -> None:
    rows = [
        {"method": "daco", "direction": way, "queries": 6, "recall": {"R@1": r}, "interval": {"R@1": [1.0, 2.0]}}
        for way, r in (("a->b", 50.0), ("b->a", 25))
    ]
    found = figures({"dataset": "places", "rows": rows}, RECALLS)
    assert found == {"rows, daco a->b, recall, R@1": 50.0, "rows, daco b->a, recall, R@1": 25.0}


def test_the_longest_matching_suffix_decides_whether_more_is_better() -> None:
    assert higher_is_better("servers, daco-serve, runs, 16, per_second", SERVE)
    assert not higher_is_better("floor, 1, p50_ms", SERVE)


def test_every_part_is_an_existing_command(places: Path, tmp_path: Path, forked: Path) -> None:
    for part in all_parts("places", places, tmp_path, quick=True):
        done = subprocess.run([forked / part.command[0], part.options[0], "--help"], capture_output=True, text=True)
        assert done.returncode == 0
        assert all(word in done.stdout for word in part.command if word.startswith("--")), part.name


def test_a_stopped_run_resumes_and_a_finished_one_becomes_the_previous_run(
    places: Path, small_encoder: Path, tmp_path: Path
) -> None:
    first, second = recall_part(places, small_encoder), recall_part(places, small_encoder, "again")
    run, before = begin_run(tmp_path, SETTINGS)
    assert before is None
    (run.folder / "recall.json").write_text(json.dumps({"rows": [{"recall": {"R@1": 12.5}}]}))  # done before the stop
    continued, _ = begin_run(tmp_path, SETTINGS)
    assert continued == run
    do_parts(continued, [first, second], lambda text: None)
    assert recall_of(run, first) == 12.5  # not run again
    assert run.about["finished"]
    new, before = begin_run(tmp_path, SETTINGS)
    assert (new.folder.name, before) == ("0002", run)


def test_other_parts_make_another_run(tmp_path: Path) -> None:
    begin_run(tmp_path, SETTINGS)
    assert begin_run(tmp_path, {"name": "others"})[0].folder.name == "0002"


def test_a_run_with_other_settings_is_not_the_previous_run(tmp_path: Path) -> None:
    whole = {"name": "places", "parts": None, "quick": False}
    full, _ = begin_run(tmp_path, whole)
    full.update(finished=True)
    quick, before = begin_run(tmp_path, {**whole, "quick": True})
    assert before is None
    quick.update(finished=True)
    assert begin_run(tmp_path, {**whole, "parts": ["recall"]})[1] == full


def test_a_regression_from_the_previous_run_is_highlighted(places: Path, small_encoder: Path, tmp_path: Path) -> None:
    part = recall_part(places, small_encoder)
    earlier, _ = begin_run(tmp_path, SETTINGS)
    do_parts(earlier, [part], lambda text: None)
    result = earlier.result(part)
    assert result is not None
    for row in result["rows"]:
        row["recall"] = {name: 2 * value + 1 for name, value in row["recall"].items()}
    (earlier.folder / "recall.json").write_text(json.dumps(result))
    run, before = begin_run(tmp_path, SETTINGS)
    do_parts(run, [part], lambda text: None)
    assert before == earlier
    assert len(worse(run, before, [part])) == 12  # three directions, four ranks
    assert worse(run, None, [part]) == []


def test_a_failed_part_is_reported_and_the_others_run(places: Path, small_encoder: Path, tmp_path: Path) -> None:
    broken = SuitePart("broken", "Broken", ("recall", "nowhere", "--data-root", str(places)), RECALLS)
    run, _ = begin_run(tmp_path, SETTINGS)
    do_parts(run, [broken, recall_part(places, small_encoder)], lambda text: None)
    bad, good = sections(run, None, [broken, recall_part(places, small_encoder)])
    assert "Failed: exit code 1" in bad.note
    assert good.tables


def test_the_command_writes_a_report_and_rejects_unknown_parts(places: Path, forked: Path, tmp_path: Path) -> None:
    def bench(*options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        command = [forked / "daco-bench", "all", *map(str, options), "--data-root", places, "--out", tmp_path / "out"]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert "'speed'" in bench("places", "--parts", "speed").stderr
    assert bench("nowhere").returncode == 1
    done = bench("places", "--parts", "recall", "--quick")
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip()).read_text()
    assert "daco-bench recall places" in page
    assert "R@1" in page
