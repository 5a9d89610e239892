"""The reproduction at a smaller scale: its contenders, its stored outcomes, and its report."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from daco_bench.cli.reproduce import app
from daco_bench.recall.comparison import Paired
from daco_bench.recall.statistics import Difference
from daco_bench.recall.task import validation_task
from daco_bench.reproduction import runs as reproduction_runs
from daco_bench.reproduction.conditions import Conditions
from daco_bench.reproduction.contenders import find_contenders
from daco_bench.reproduction.data import City, link_data_set, make_city_data, make_twins
from daco_bench.reproduction.outcome import Outcome, load_outcome
from daco_bench.reproduction.page import claims, write_report
from daco_bench.reproduction.plan import describe_plan, in_words, plan_of, progress, time_left
from daco_bench.reproduction.report import join_seeds, load_outcomes, make_report
from daco_bench.reproduction.runs import Scale, missing_runs, plan_runs, train_runs
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import DataSet
from daco_training.loop import trainer

RANKS = (1, 2, 4, 8)


def outcome(places: Path, name: str, descriptors: np.ndarray, seed: int = 0, **changes: object) -> Outcome:
    dataset = DataSet(places, "places")
    settings = {"recipe": "published", "method_name": name.split(",")[0], "iters": 4, "image_size": 32, "seed": seed}
    settings |= {"backbone": "resnet18", "precision": "fp32", "val_every": 2, "data_name": "places", **changes}
    recalls = {f"val_{way}_recall@{k}": 10.0 for way in ("ab", "ba", "cross") for k in RANKS}
    curve = [{"iteration": n, "train_loss": 3.0 / n, "val_precise": 10.0 * n, **recalls} for n in (2, 4)]
    photographs = dataset.fingerprint(validation_task(dataset).images)
    return Outcome(name, settings, photographs, "a CPU", 1.0, curve, descriptors.astype(np.float32))


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_every_method_is_compared_with_its_variants() -> None:
    named = {one.name: one for one in find_contenders(["npid", "simclr", "daco"], ["night", "rendered"])}
    assert list(named) == [
        "npid", "simclr", "daco", "npid, copies masked", "daco, rendered twins", "npid, modern recipe",
        "simclr, modern recipe", "daco, modern recipe",
    ]  # fmt: skip
    assert named["daco"].twins == named["daco, modern recipe"].twins == "night"
    assert named["npid, copies masked"].mask_copies
    assert named["daco, rendered twins"].slug == "daco_rendered_twins"
    assert [one.name for one in find_contenders(["simclr"], [], also=[])] == ["simclr"]


def test_the_former_name_of_the_modern_recipe_is_still_read(places: Path, tmp_path: Path) -> None:
    assert find_contenders(["simclr"], [], ["ours"]) == find_contenders(["simclr"], [], ["modern"])
    outcomes = tmp_path / "outcomes"
    outcome(places, "simclr, our recipe", np.eye(12), recipe="modern").save(outcomes / "simclr_our_recipe_seed0.json")
    assert list(load_outcomes(outcomes)) == ["simclr, modern recipe"]
    data = {(None, False): (places, "places")}
    runs = plan_runs(find_contenders(["simclr"], [], ["ours"]), [0, 1], Scale(), data, tmp_path, "cpu")
    assert [run.file.name for run in runs if run.contender.recipe == "modern"] == [
        "simclr_our_recipe_seed0.json",
        "simclr_modern_recipe_seed1.json",
    ], "a stored outcome is not computed again"


def test_more_streets_and_more_iterations_vary_the_leading_methods() -> None:
    contenders = find_contenders(["moco", "simclr", "daco"], ["night", "rendered"], ["streets", "longer"])
    added = [one for one in contenders if one.more_streets or one.longer]
    assert [one.name for one in added] == [
        "simclr, more streets", "daco, more streets", "daco, rendered twins, more streets",
        "simclr, more iterations", "daco, more iterations", "daco, rendered twins, more iterations",
    ]  # fmt: skip
    assert len({one.slug for one in contenders}) == len(contenders)
    data = (Path("data"), "city")
    every = {(twins, more): data for twins in (None, "night", "rendered") for more in (False, True)}
    runs = plan_runs(contenders, [0], Scale(iters=10, longer_iters=30), every, Path("out"), "cpu")
    assert {run.contender.name: run.settings.iters for run in runs}["simclr, more iterations"] == 30
    assert sum(run.settings.iters == 10 for run in runs) == len(contenders) - 3


def test_two_conditions_that_can_be_rendered_have_their_published_rows() -> None:
    pair = Conditions.parse("sunset/rainy-night")
    assert (pair.name, pair.published, pair.twins[0]) == ("sunset-rainy-night", "synthia", "night")
    assert (Conditions.parse("day/fog").published, Conditions.parse("day/fog").twins[0]) == ("cityscapes", "fog")
    assert Conditions.parse("day/sunset").published is None
    assert Conditions.parse("day/sunset").twins == ("fourier", "rendered")
    for text in ("day", "day/day", "day/rain", "day/night/fog"):
        with pytest.raises(UsageError, match="sunset, rainy-night"):
            Conditions.parse(text)


def rendered_by_hand(city: City, *conditions: str) -> None:
    """Photographs where `make_city` would have written them."""
    for condition in conditions:
        for split, names in city.photographs().items():
            folder = city.folder / condition / "original" / "domain_a" / split
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                (folder / name).write_bytes(f"{condition} {name}".encode())


def test_cities_with_different_numbers_of_places_share_photographs(tmp_path: Path) -> None:
    pair = Conditions("day", "fog")
    small, large = City(tmp_path / "city", 12, 3, 64), City(tmp_path / "city", 20, 3, 64)
    rendered_by_hand(large, "day", "fog")
    assert small.missing("day") == small.missing("fog") == 0
    assert small.missing("night") == 12
    dataset = make_city_data(small, pair, tmp_path / "small")
    more = make_city_data(large, pair, tmp_path / "large")
    assert dataset.domain_names == {"domain_a": "day", "domain_b": "fog"}
    assert (len(dataset.images("domain_a", "train")), len(more.images("domain_b", "train"))) == (9, 17)
    names = [[image.name for image in one.images("domain_b", "val")] for one in (dataset, more)]
    assert names[0] == names[1], "both are validated on the same places"
    assert dataset.images("domain_b", "val")[0].read_text().startswith("fog ")
    shutil.rmtree(tmp_path / "city")
    assert make_city_data(small, pair, tmp_path / "small").images("domain_a", "val"), "all are in the data set"
    with pytest.raises(UsageError, match="another number of places"):
        make_city_data(small, pair, tmp_path / "large")


def test_twins_of_cut_are_made_by_networks_that_are_trained_once(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "places", tmp_path / "data" / "places")
    dataset = DataSet(tmp_path / "data", "places")
    copy = make_twins(dataset, "cut", tmp_path / "twins", cut_iters=1, device="cpu")
    assert all(copy.twin(image).is_file() for image in copy.images("domain_a", "train"))
    models = {file: file.stat().st_mtime_ns for file in (dataset.folder / "translation").rglob("*.pt")}
    assert len(models) == 2
    make_twins(dataset, "cut", tmp_path / "twins", cut_iters=1, device="cpu")
    assert models == {file: file.stat().st_mtime_ns for file in models}, "the same call trains nothing again"
    twins = {file: file.read_bytes() for file in (copy.folder / "generated").rglob("*.jpg")}
    shutil.rmtree(dataset.folder / "translation")
    make_twins(dataset, "cut", tmp_path / "twins", cut_iters=1, device="cpu")
    assert not (dataset.folder / "translation").exists(), "twins brought from elsewhere need no networks"
    assert twins == {file: file.read_bytes() for file in twins}


def test_the_plan_lists_the_remaining_work_and_its_duration(places: Path, tmp_path: Path) -> None:
    data = {(None, False): (places, "places")}
    runs = plan_runs(find_contenders(["moco", "simclr"], [], also=[]), [0, 1], Scale(iters=100), data, tmp_path, "cpu")
    assert time_left(plan_of(runs)) is None
    text = describe_plan(plan_of(runs), {"day": 12, "night": 0}, jobs=2)
    assert "Photographs to render: day: 12." in text
    assert "unknown until the first run is finished" in text
    done = outcome(places, "moco", np.eye(12))
    settings = {name: getattr(runs[0].settings, name) for name in ("recipe", "backbone", "image_size", "precision")}
    replace(done, settings=done.settings | settings, seconds_per_iteration=3.0).save(runs[0].file)
    planned = plan_of(runs)
    assert [one.state for one in planned] == ["done", "to do", "to do", "to do"]
    assert time_left(planned, jobs=2) == 450
    assert progress(runs[0], planned, 2) == "places, moco, seed 0: done (1 of 4 runs, about 8 min left)."
    assert [in_words(seconds) for seconds in (40, 3700, 7500)] == ["40 s", "1 h 02 min", "2 h 05 min"]


@pytest.mark.parametrize(
    ("methods", "twins", "also", "word"),
    [(["byol"], ["night"], [], "byol"), (["daco"], [], [], "--twins"), (["moco"], [], ["yours"], "yours")],
)
def test_an_impossible_contender_is_reported_in_one_sentence(
    methods: list[str], twins: list[str], also: list[str], word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        find_contenders(methods, twins, also)


def test_rendered_twins_are_the_other_domains_photographs_of_the_same_places(places: Path, tmp_path: Path) -> None:
    copy = make_twins(DataSet(places, "places"), "rendered", tmp_path / "twins")
    for image in copy.images("domain_a", "train"):
        partner = copy.split_folder("domain_b", "train") / image.name
        assert copy.twin(image).read_bytes() == partner.read_bytes()
    assert not (copy.folder / "original").readlink().is_absolute()
    with pytest.raises(UsageError, match="belongs to the data set in"):
        other = tmp_path / "other" / "places"
        other.mkdir(parents=True)
        (other / "original").symlink_to(places / "places" / "original" / "domain_a")
        link_data_set(DataSet(tmp_path / "other", "places"), tmp_path / "twins")


def test_a_run_is_trained_once_resumed_and_rejected_with_other_settings(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = find_contenders(["simclr"], [], also=[])
    scale = Scale(backbone="test_resnet", image_size=32, iters=3, val_every=2)
    data = {(None, False): (places, "places")}
    # 24 training photographs are fewer than SimCLR's published batch of 32
    runs = [
        replace(run, settings=run.settings.but(batch_size=8))
        for run in plan_runs(contenders, [5], scale, data, tmp_path, "cpu", workers=0)
    ]
    step = trainer.Trainer._step

    def stop_in_the_third(self: trainer.Trainer, batch: object) -> object:
        if self.progress.iteration == 2:
            self._save()
            raise DacoError("stopped")
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.Trainer, "_step", stop_in_the_third)
    with pytest.raises(DacoError, match="stopped"):
        train_runs(runs)
    steps: list[int] = []
    monkeypatch.setattr(
        trainer.Trainer, "_step", lambda self, batch: (steps.append(self.progress.iteration), step(self, batch))[1]
    )
    train_runs(runs)
    assert steps == [2], "the first two iterations are not made again"
    kept = load_outcome(runs[0].file)
    assert [row["iteration"] for row in kept.curve] == [2, 3]
    assert kept.descriptors.shape[0] == 12
    assert kept.seed == 5
    assert kept.training_recalls is not None
    assert kept.training_recalls.keys() == {"a->b", "b->a", "a<->b"}
    assert all(0 <= value <= 100 for found in kept.training_recalls.values() for value in found.values())
    assert kept.seconds_per_iteration == kept.seconds, "one of three iterations was left"
    assert not runs[0].settings.checkpoint_file.exists()
    train_runs(runs)
    assert steps == [2], "a finished run is taken as it is"
    longer = [replace(run, settings=run.settings.but(iters=4)) for run in runs]
    with pytest.raises(UsageError, match="iters is 3, not 4"):
        missing_runs(longer)


def test_no_run_starts_after_another_has_failed(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {(None, False): (places, "places")}
    runs = plan_runs(find_contenders(["simclr"], [], also=[]), range(6), Scale(), data, tmp_path, "cpu")
    begun: list[int] = []

    def fail(run: reproduction_runs.Run) -> None:
        begun.append(run.settings.seed)
        raise DacoError("no memory")

    # threads stand for the processes, which would not see the replaced function
    monkeypatch.setattr(reproduction_runs, "ProcessPoolExecutor", lambda jobs, *_, **__: ThreadPoolExecutor(jobs))
    monkeypatch.setattr(reproduction_runs, "train_one", fail)
    with pytest.raises(DacoError, match="no memory"):
        train_runs(runs, jobs=2)
    assert sorted(begun) == [0, 1]


def test_a_damaged_outcome_is_reported_in_one_sentence(places: Path, tmp_path: Path) -> None:
    file = tmp_path / "simclr_seed0.json"
    outcome(places, "simclr", np.eye(12)).save(file)
    assert (load_outcome(file).descriptors == np.eye(12)).all()
    file.with_suffix(".npy").write_bytes(b"no array")
    with pytest.raises(DacoError, match="is damaged"):
        load_outcome(file)


def test_the_report_claims_only_what_the_tests_support(places: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    place = unit(random.normal(size=(6, 16)))
    found = np.vstack([place, place])  # partners are alike
    for seed in (0, 1, 2):
        outcome(places, "daco", found, seed).save(tmp_path / f"daco_seed{seed}.json")
        outcome(places, "simclr", found, seed).save(tmp_path / f"simclr_seed{seed}.json")
        lost = unit(np.vstack([place, np.roll(place, 1, axis=0)]))  # each finds the next place
        outcome(places, "moco", lost, seed).save(tmp_path / f"moco_seed{seed}.json")
    outcomes = load_outcomes(tmp_path)
    assert list(outcomes) == ["moco", "simclr", "daco"]
    report = make_report(outcomes, DataSet(places, "places"), RANKS, "tokyo")
    # a lead of 100 points on six places has p = 2 / 64, which six tests together do not support
    assert [round(test.difference.points) for test in report.claim] == [100] * 3 + [0] * 3
    assert claims(report.claim) == [
        f"daco against {than}, R@1: a->b, b->a, a<->b not significantly different." for than in ("moco", "simclr")
    ]
    assert report.losses["daco"] == (1.5, 0.75)
    assert report.hubs["daco"]["a->b"] == pytest.approx(100 / 6, abs=0.01), "each query finds another photograph"
    assert report.seeds["daco"] == [(seed, 100.0, 40.0) for seed in (0, 1, 2)]
    files = write_report(report, outcomes, RANKS, tmp_path / "report", DataSet(places, "places"))
    assert all(file.stat().st_size for file in files)
    page = (tmp_path / "report" / "report.md").read_text()
    assert {"strips.jpg", "tsne.svg", "curves.svg"} <= {file.name for file in files}
    assert "## Recall on the training photographs" not in page, "it was not measured"
    assert "4 iterations (published: 40,000)" in page
    assert "daco (published)" in page
    assert json.loads((tmp_path / "report" / "report.json").read_text())["tests"]["claim"]


def test_a_photograph_that_every_query_finds_first_is_reported_as_a_hub(places: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    day, night = random.normal(size=(2, 6, 16))
    day[:, 0] += 30  # a constant offset between the domains: the night that is most like a day is everybody's match
    night[3, 0] += 10
    for seed in (0, 1):
        outcome(places, "daco", unit(np.vstack([day, night])), seed).save(tmp_path / f"daco_seed{seed}.json")
    report = make_report(load_outcomes(tmp_path), DataSet(places, "places"), RANKS, None)
    assert report.hubs["daco"]["a->b"] == 100


def test_a_claim_names_the_directions_in_which_a_test_supports_it() -> None:
    def paired(way: str, rank: int, points: float, p: float) -> Paired:
        return Paired("daco", "moco", way, rank, Difference(points, points - 5, points + 5, p), p)

    tests = [paired("a->b", 1, 8.0, 0.01), paired("b->a", 1, -9.0, 0.02), paired("a<->b", 1, 7.0, 0.06)]
    assert claims([*tests, paired("a->b", 8, 20.0, 0.001)]) == [
        "daco against moco, R@1: a->b ahead (+8.0 points); b->a behind (-9.0 points);"
        " a<->b not significantly different.",
        "daco against moco, R@8: a->b ahead (+20.0 points).",
    ]


def test_seeds_of_a_query_share_its_group(places: Path) -> None:
    task = validation_task(DataSet(places, "places"))
    vectors = np.eye(12, dtype=np.float32)
    joined = join_seeds([task.rank(vectors, "daco", "a->b", 2) for _ in range(3)])
    assert joined.count == 18
    assert joined.groups.tolist() == [*range(6)] * 3


def test_runs_of_different_lengths_are_not_mixed_in_a_table(places: Path, tmp_path: Path) -> None:
    outcome(places, "daco", np.eye(12)).save(tmp_path / "daco_seed0.json")
    outcome(places, "simclr", np.eye(12), iters=5).save(tmp_path / "simclr_seed0.json")
    with pytest.raises(UsageError, match="mixes runs of several iters: 4, 5"):
        load_outcomes(tmp_path)
    with pytest.raises(UsageError, match="contains no outcome"):
        load_outcomes(tmp_path / "nowhere")


def test_a_contender_that_lacks_a_seed_is_named(places: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        outcome(places, "daco", np.eye(12), seed).save(tmp_path / f"daco_seed{seed}.json")
    outcome(places, "simclr", np.eye(12), 0).save(tmp_path / "simclr_seed0.json")
    with pytest.raises(UsageError, match="no outcome of simclr with seed 1"):
        load_outcomes(tmp_path)
    outcome(places, "simclr", np.eye(12), 1).save(tmp_path / "simclr_seed1.json")
    outcome(places, "simclr, modern recipe", np.eye(12), 0, recipe="modern").save(tmp_path / "modern_seed0.json")
    assert len(load_outcomes(tmp_path)) == 3, "each recipe has tables, and seeds, of its own"


@pytest.mark.slow
def test_the_command_trains_and_reports_without_repeating_finished_work(places: Path, tmp_path: Path) -> None:
    scale = [
        "--iters",
        "2",
        "--longer-iters",
        "3",
        "--val-every",
        "1",
        "--backbone",
        "test_resnet",
        "--image-size",
        "32",
    ]
    who = ["--methods", "daco", "--twins", "night,rendered", "--also", "longer", "--seeds", "0"]
    where = ["places", "--data-root", str(places), "--out", str(tmp_path), "--device", "cpu"]
    command = [*where, *scale, *who, "--backbone", "test_resnet"]

    def ask(*more: str) -> Any:
        return CliRunner().invoke(app, [*command, *more])

    assert "0 of 4 runs are done" in ask("--plan").output
    assert not (tmp_path / "places").exists(), "a plan makes nothing"
    assert ask("--data-only").exit_code == 0
    assert not (tmp_path / "places" / "outcomes").exists()
    first = ask()
    assert first.exit_code == 0, first.output
    outcomes = sorted((tmp_path / "places" / "outcomes").glob("*.json"))
    assert len(outcomes) == 4
    page = (tmp_path / "places" / "report" / "report.md").read_text()
    assert "daco, rendered twins, more iterations against daco, rendered twins" in page
    assert "## Recall on the training photographs" in page
    before = [file.stat().st_mtime_ns for file in outcomes]
    assert "All 4 runs are done." in ask("--plan").output
    assert ask("--report-only").exit_code == 0
    assert [file.stat().st_mtime_ns for file in outcomes] == before
    rejected = ask("--also", "streets")
    assert isinstance(rejected.exception, UsageError)
