"""Order and augmentation are a function of (seed, epoch, index), and of nothing else."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from training.datasets.layout import DataSet
from training.datasets.transforms import training_view
from training.datasets.views import Batches, TrainingViews, collate
from training.errors import DacoError

SOURCES = ("original", "original", "generated", "generated")


def views_of(places: Path, seed: int = 0) -> TrainingViews:
    transform = training_view(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return TrainingViews(DataSet(places, "places"), SOURCES, transform, seed)


def test_views_are_the_same_whatever_the_workers(places: Path) -> None:
    batches = Batches(images=24, batch_size=8, seed=3, start=0, stop=4)
    views = views_of(places)
    alone, helped = (
        list(DataLoader(views, batch_sampler=batches, num_workers=workers, collate_fn=collate)) for workers in (0, 2)
    )
    for (drawn, index), (other_views, other_index) in zip(alone, helped, strict=True):
        torch.testing.assert_close(drawn, other_views)
        torch.testing.assert_close(index, other_index)


def test_views_differ_between_epochs_seeds_and_each_other(places: Path) -> None:
    views = views_of(places)
    (first, second, *_), _ = views[0, 0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, views[1, 0][0][0])
    assert not torch.equal(first, views_of(places, seed=1)[0, 0][0][0])
    torch.testing.assert_close(first, views[0, 0][0][0])


def test_drawing_a_view_leaves_other_random_numbers_alone(places: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    views_of(places)[0, 0]
    torch.testing.assert_close(torch.rand(3), expected)


def test_an_epoch_shows_every_image_at_most_once_and_another_epoch_another_order() -> None:
    epochs = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=6))
    first, second = ([index for batch in part for _, index in batch] for part in (epochs[:3], epochs[3:]))
    assert len(set(first)) == len(first) == 24
    assert first != second
    assert {epoch for batch in epochs[3:] for epoch, _ in batch} == {1}


def test_a_run_that_starts_late_sees_what_a_whole_run_sees_there() -> None:
    whole = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=9))
    assert list(Batches(images=25, batch_size=8, seed=0, start=4, stop=9)) == whole[4:]


def test_processes_share_each_batch_without_overlap() -> None:
    whole = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=3))
    shares = [list(Batches(25, 8, seed=0, start=0, stop=3, rank=rank, processes=2)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole


def test_a_missing_twin_is_refused_with_the_command_that_makes_it(places: Path, tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "original").symlink_to(places / "places" / "original")
    with pytest.raises(DacoError, match="daco-data translate places"):
        views_of(tmp_path)
    TrainingViews(DataSet(tmp_path, "places"), ("original",), training_view(32, (0.5,) * 3, (0.5,) * 3), 0)
