"""Benchmarks: published rows, intervals, output formats, and resumed comparisons."""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daco_bench.recall.compare import compare_methods
from daco_bench.recall.table import RecallRow, cells, header, published_rows, to_csv, to_json
from daco_bench.recall.translators import compare_translators
from daco_bench.report.text_table import to_markdown
from daco_core.errors import DacoError
from daco_training.encoder.encoder import Encoder
from daco_training.loop.settings import TrainOptions, TrainSettings

RANKS = (1, 2, 4, 8)


def bench(forked: Path, *options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "160"}
    command = [forked / "daco-bench", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def small(places: Path, result: Path) -> TrainSettings:
    return TrainOptions(
        data_root=places, data_name="places", backbone="test_resnet", image_size=32, iters=1, negs=8, save_root=result,
        workers=0,
    ).resolve()  # fmt: skip


def test_the_published_rows_have_the_papers_numbers(shared: Path) -> None:
    with (shared / "published" / "daco_recall.csv").open() as stream:
        published = list(csv.DictReader(stream))
    for dataset in ("tokyo", "cityscapes", "synthia"):
        ours = [[row.direction, *(f"{row.recalls[k]:.2f}" for k in RANKS)] for row in published_rows(dataset, RANKS)]
        assert ours == [
            [row["direction"], *(row[f"R@{k}"] for k in RANKS)] for row in published if row["dataset"] == dataset
        ]
        assert len(ours) == 12
    assert published_rows("demo", RANKS) == []


def test_every_output_format_contains_the_same_numbers() -> None:
    rows = [
        RecallRow("daco", "a->b", {1: 12.5, 2: 50.0}, queries=8, intervals={1: (0.0, 37.5), 2: (12.5, 87.5)}),
        RecallRow("daco (published)", "a->b", {1: 69.33}),
    ]
    table = list(csv.DictReader(io.StringIO(to_csv(rows, (1, 2), "demo"))))
    assert [(row["R@1"], row["R@2"]) for row in table] == [("12.50", "50.00"), ("69.33", "")]
    assert to_json(rows)[0]["recall"] == {"R@1": 12.5, "R@2": 50.0}
    assert to_json(rows)[0]["interval"]["R@2"] == [12.5, 87.5]
    assert to_json(rows)[1]["interval"] == {}
    lines = to_markdown(header((1, 2)), [cells(row, (1, 2)) for row in rows]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "12.50 (0-38)" in lines[2]


def test_recall_of_a_data_set_prints_json_csv_and_a_table(forked: Path, places: Path, small_encoder: Path) -> None:
    base = ("recall", "places", "--data-root", places, "--encoder", small_encoder)
    report = json.loads(bench(forked, *base, "--json").stdout)
    assert [row["direction"] for row in report["rows"]] == ["a->b", "b->a", "a<->b"]
    assert [row["queries"] for row in report["rows"]] == [6, 6, 12]
    table = list(csv.DictReader(io.StringIO(bench(forked, *base, "--csv").stdout)))
    assert [float(row["R@8"]) for row in table] == [row["recall"]["R@8"] for row in report["rows"]]
    assert "a<->b" in bench(forked, *base).stdout


def test_published_rows_are_printed_for_the_published_data_sets(
    forked: Path, places: Path, small_encoder: Path
) -> None:
    named = places.parent / "published"
    named.mkdir(exist_ok=True)
    (named / "tokyo").symlink_to(places / "places")
    done = bench(forked, "recall", "tokyo", "--data-root", named, "--encoder", small_encoder, "--json")
    rows = json.loads(done.stdout)["rows"]
    assert {"method": "daco (published)", "direction": "a->b"}.items() <= rows[-3].items()
    assert rows[-3]["recall"]["R@1"] == 69.33


def test_frames_of_one_traversal_match_those_of_another_within_the_tolerance(
    forked: Path, places: Path, small_encoder: Path
) -> None:
    frames = places / "places" / "original" / "domain_a" / "train"
    options = ("recall", "--encoder", small_encoder, "--database", frames, "--queries", frames, "--json")
    (row,) = json.loads(bench(forked, *options, "--frames", 0).stdout)["rows"]
    assert row["recall"]["R@1"] == 100.0
    assert row["queries"] == 12


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["recall", "--encoder", "nowhere", "places"], "nowhere"),
        (["recall", "--encoder", "ENCODER"], "--database"),
        (["recall", "--encoder", "ENCODER", "nowhere"], "nowhere"),
        (["recall", "--encoder", "ENCODER", "--database", "nowhere", "--queries", "nowhere"], "nowhere"),
        (["recall", "--encoder", "ENCODER", "places", "--ranks", "x"], "--ranks"),
        (["recall", "--encoder", "ENCODER", "places", "--distance", "25"], "--distance"),
        (["compare", "places", "--methods", "byol"], "byol"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(
    forked: Path, places: Path, small_encoder: Path, options: list[str], word: str
) -> None:
    done = bench(
        forked, *(str(small_encoder) if word == "ENCODER" else word for word in options), "--data-root", places
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_methods_are_compared_with_their_published_batch_sizes_and_trained_once(places: Path, tmp_path: Path) -> None:
    settings = small(places, tmp_path)
    answers = compare_methods(settings, ["daco"])
    assert [one.direction for one in answers] == ["a->b", "b->a", "a<->b"]
    trained = (tmp_path / "places_daco" / "model.safetensors").stat().st_mtime_ns
    again = compare_methods(settings, ["daco"])
    assert all((one.order == other.order).all() for one, other in zip(answers, again, strict=True))
    assert (tmp_path / "places_daco" / "model.safetensors").stat().st_mtime_ns == trained
    recorded = Encoder.load(tmp_path / "places_daco").config.training
    assert recorded["batch_size"] == 16


def test_translators_are_compared_without_changing_the_data_sets_own_twins(places: Path, tmp_path: Path) -> None:
    own = {twin: twin.read_bytes() for twin in (places / "places" / "generated").rglob("*.png")}
    answers = compare_translators(small(places, tmp_path), ["fourier", "reinhard"])
    assert {one.method for one in answers} == {"daco, fourier twins", "daco, reinhard twins"}
    assert {twin: twin.read_bytes() for twin in (places / "places" / "generated").rglob("*.png")} == own
    twins = [
        sorted((tmp_path / "twins" / name / "places/generated").rglob("*.png")) for name in ("fourier", "reinhard")
    ]
    assert len(twins[0]) == len(twins[1]) == 24
    assert twins[0][0].read_bytes() != twins[1][0].read_bytes()


def test_an_impossible_comparison_is_rejected_before_anything_is_trained(places: Path, tmp_path: Path) -> None:
    with pytest.raises(DacoError, match="byol"):
        compare_methods(small(places, tmp_path), ["daco", "byol"])
    with pytest.raises(DacoError, match="aurora"):
        compare_translators(small(places, tmp_path), ["fourier", "aurora"])
    assert not any(tmp_path.iterdir())
    assert len(compare_methods(small(places, tmp_path), ["daco", "daco"])) == 3  # once, in three directions


def test_twins_of_another_data_set_with_the_same_name_are_not_used(places: Path, tmp_path: Path) -> None:
    compare_translators(small(places, tmp_path / "out"), ["fourier"])
    other = Path(shutil.copytree(places, tmp_path / "other"))
    with pytest.raises(DacoError, match="choose another folder"):
        compare_translators(small(other, tmp_path / "out"), ["fourier"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iters": 2}, "iters is 1, not 2"),
        ({"precision": "bf16"}, "precision is fp32, not bf16"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_stored_run_is_used_only_with_the_same_settings(
    places: Path, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    run = small(places, tmp_path)
    first = compare_methods(run, ["daco"])
    assert [one.hits(1).tolist() for one in compare_methods(run, ["daco"])] == [one.hits(1).tolist() for one in first]
    with pytest.raises(DacoError, match=sentence):
        compare_methods(run.but(**changes), ["daco"])
