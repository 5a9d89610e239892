"""Recall benchmarks: the published protocol, frames, and distances by the field's file names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from daco_bench.recall.task import find_task, frames_task, validation_task
from daco_core.encoder.config import EncoderConfig
from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import DataSet
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.validation import find_validation

NORTH = 6_174_000.0


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(backbone="test_resnet", image_size=32))


@pytest.fixture(scope="module")
def engine(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("encoder") / "small"
    encoder.save(folder)
    return create_engine(open_encoder(folder), "cpu")


def field_name(metres_north: float) -> str:
    """The field's file name of a photograph that many metres up a street in Lund."""
    return f"@386000.00@{NORTH + metres_north:.2f}@33@U@@@@@@@@@@@.png"


@pytest.fixture
def street(places: Path, tmp_path: Path) -> Path:
    """`database` at 0, 100, 200 ... metres of a street, `queries` the same photographs 20 m on, one far from all."""
    images = sorted((places / "places" / "original" / "domain_a" / "val").iterdir())
    for number, image in enumerate(images):
        for folder, metres in (("database/north", 100 * number), ("queries", 100 * number + 20)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(image, tmp_path / folder / field_name(metres))
    shutil.copy(images[0], tmp_path / "queries" / field_name(5000))
    return tmp_path


def test_recalls_equal_those_of_the_validation_in_training(places: Path, encoder: Encoder, engine: Engine) -> None:
    dataset = DataSet(places, "places")
    validation = find_validation(dataset)
    assert validation is not None
    expected = validation.recalls(encoder, (1, 2, 4))
    answers = validation_task(dataset).retrieve(engine, "small")
    assert {one.direction: {k: one.recall(k) for k in (1, 2, 4)} for one in answers} == expected
    assert [one.count for one in answers] == [6, 6, 12]


def test_no_photograph_is_its_own_answer(places: Path, engine: Engine) -> None:
    both = validation_task(DataSet(places, "places")).retrieve(engine, "small")[-1]
    asking = {path: number for number, path in enumerate(both.images)}
    first = np.array([asking[path] for path in both.queries])
    assert not (both.order[:, 0] == first).any()


def test_pairs_share_a_group_of_the_bootstrap(places: Path) -> None:
    groups = validation_task(DataSet(places, "places")).groups
    assert groups.tolist() == [*range(6), *range(6)]


def test_matches_by_distance_are_right_within_the_metres(street: Path, engine: Engine) -> None:
    for metres, recall in ((25, 1.0), (15, 0.0)):
        task = find_task(database=street / "database", queries=street / "queries", metres=metres)
        (answers,) = task.retrieve(engine, "small")
        assert answers.recall(1) == recall
        assert answers.count == (6 if metres == 25 else 0)  # the query far from all does not count


def test_queries_within_the_metres_share_a_group(street: Path) -> None:
    for metres, shared in ((25, [0, 1, 2, 3, 4, 5, 6]), (150, [0, 0, 1, 2, 3, 4, 6])):
        task = find_task(database=street / "database", queries=street / "queries", metres=float(metres))
        assert task.groups.tolist() == [*range(6), *(6 + row for row in shared)]


def test_two_folders_are_evaluated_by_distance_if_all_have_positions(street: Path, places: Path) -> None:
    by_distance = find_task(database=street / "database", queries=street / "queries")
    assert (by_distance.title.endswith("within 25 m"), by_distance.ranks) == (True, "1,5,10,20")
    frames = places / "places" / "original" / "domain_a" / "train"
    by_frames = find_task(database=frames, queries=frames)
    assert by_frames.title.endswith("within 3 frames")


def test_frames_within_the_tolerance_count_as_right(places: Path, engine: Engine) -> None:
    frames = places / "places" / "original" / "domain_a" / "train"
    (answers,) = frames_task(frames, frames, 0).retrieve(engine, "small")
    correct = frames_task(frames, frames, 2).correct(np.arange(12, 24), np.arange(12))
    assert answers.count == 12
    assert correct.sum(axis=1).tolist() == [3, 4, *[5] * 8, 4, 3]


def test_a_photograph_without_a_position_is_named(street: Path) -> None:
    shutil.copy(next((street / "queries").iterdir()), street / "queries" / "nameless.png")
    with pytest.raises(DacoError, match=r"1 of 8 .* nameless.png"):
        find_task(database=street / "database", queries=street / "queries", metres=25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "places", "metres": 25.0},
        {"database": Path("a")},
        {"database": Path("a"), "queries": Path("b"), "metres": 25.0, "frames": 3},
        {},
    ],
)
def test_contradictory_or_incomplete_data_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(DacoError):
        find_task(**wrong)  # type: ignore[arg-type]


def test_the_command_prints_r_at_1_5_10_and_20(street: Path, forked: Path, tmp_path: Path, encoder: Encoder) -> None:
    import subprocess

    encoder.save(tmp_path / "encoder")
    options = ["--database", street / "database", "--queries", street / "queries", "--encoder", tmp_path / "encoder"]
    done = subprocess.run([forked / "daco-bench", "recall", *options, "--json"], capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["dataset"].endswith("within 25 m")
    assert report["rows"][0]["recall"] == {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0, "R@20": 100.0}


def test_unrelated_folders_without_positions_are_not_paired_by_the_order_of_their_names(
    places: Path, tmp_path: Path
) -> None:
    images = sorted((places / "places" / "original" / "domain_a" / "val").iterdir())
    for number, image in enumerate(images):
        for folder, name in (("database", f"street{number}.png"), ("queries", f"holiday{number}.png")):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(image, tmp_path / folder / name)
    folders = {"database": tmp_path / "database", "queries": tmp_path / "queries"}
    with pytest.raises(UsageError, match=r"their names are not the same, and 0 of .*--truth.*--frames 3"):
        find_task(**folders)
    assert find_task(**folders, frames=1).title.endswith("within 1 frames")


def test_frames_are_numbered_in_the_natural_order_of_their_names(places: Path, tmp_path: Path) -> None:
    image = next((places / "places" / "original" / "domain_a" / "val").iterdir())
    for name in ("9.png", "10.png", "11.png"):
        shutil.copy(image, tmp_path / name)
    task = find_task(database=tmp_path, queries=tmp_path)
    assert [path.name for path in task.images[:3]] == ["9.png", "10.png", "11.png"]
