"""Order and augmentation depend only on (seed, epoch, index)."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.views.dataset import Batches, TrainingViews
from daco_training.views.image_store import DETAIL, ImageStore

SOURCES = ("original", "original", "generated", "generated")
CPU = torch.device("cpu")


def views_of(places: Path, seed: int = 0, memory_share: float = 0.1, workers: int = 0) -> TrainingViews:
    store = ImageStore(32, CPU, memory_share, workers)
    return TrainingViews(DataSet(places, "places"), SOURCES, EncoderConfig(image_size=32), seed, store)


def one(views: TrainingViews, epoch: int, index: int) -> list[Tensor]:
    drawn, *_ = views.draw([(epoch, index)])
    return drawn


@pytest.mark.parametrize(("memory_share", "workers"), [(0.0, 0), (0.0, 2), (0.1, 2), (1e-6, 2)])
def test_views_do_not_depend_on_workers_or_on_the_memory_for_photographs(
    places: Path, memory_share: float, workers: int
) -> None:
    batches = Batches(images=24, batch_size=8, seed=3, start=0, stop=4)
    alone = list(views_of(places).stream(batches))
    helped = list(views_of(places, memory_share=memory_share, workers=workers).stream(batches))
    assert len(alone) == 4
    for (drawn, index, _), (other_views, other_index, _) in zip(alone, helped, strict=True):
        assert [view.shape for view in drawn] == [(8, 3, 32, 32)] * 4
        torch.testing.assert_close(drawn, other_views, rtol=0, atol=0)
        torch.testing.assert_close(index, other_index)


def test_a_view_does_not_depend_on_the_batch_it_is_in(places: Path) -> None:
    views = views_of(places)
    together, *_ = views.draw([(0, index) for index in range(6)])
    for index in range(6):
        alone = one(views, 0, index)
        torch.testing.assert_close([view[0] for view in alone], [view[index] for view in together], rtol=0, atol=0)


def test_views_differ_between_epochs_seeds_and_each_other(places: Path) -> None:
    views = views_of(places)
    first, second, *_ = one(views, 0, 0)
    assert not torch.equal(first, second)
    assert not torch.equal(first, one(views, 1, 0)[0])
    assert not torch.equal(first, one(views_of(places, seed=1), 0, 0)[0])
    torch.testing.assert_close(first, one(views, 0, 0)[0], rtol=0, atol=0)


def test_drawing_a_view_does_not_change_other_random_states(places: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one(views_of(places), 0, 0)
    torch.testing.assert_close(torch.rand(3), expected)


def test_photographs_are_kept_in_memory_up_to_the_limit(places: Path) -> None:
    batches = Batches(images=24, batch_size=8, seed=0, start=0, stop=9)
    views = views_of(places, workers=2)
    list(views.stream(batches))
    assert len(views.store.kept) == 48, "all originals and all twins"
    before = dict(views.store.kept)
    list(views.stream(batches))
    assert all(views.store.kept[path] is image for path, image in before.items())
    small = ImageStore(32, CPU, memory_share=0.0)
    list(TrainingViews(DataSet(places, "places"), SOURCES, EncoderConfig(image_size=32), 0, small).stream(batches))
    assert not small.kept


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_photographs_are_stored_at_twice_the_size_of_a_view(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"large.{suffix}"
    Image.linear_gradient("L").resize((1200, 600)).convert("RGB").save(file)
    large = ImageStore(32, CPU, memory_share=0.1)[file]
    assert large.shape == (3, 32 * DETAIL, 64 * DETAIL)
    whole = torch.nn.functional.interpolate(
        ImageStore(1000, CPU, memory_share=0.1)[file][None].float(), large.shape[1:], mode="area"
    )[0]
    assert (large.float() - whole).abs().mean() < 2


def test_an_epoch_shows_every_image_at_most_once_and_another_epoch_another_order() -> None:
    epochs = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=6))
    first, second = ([index for batch in part for _, index in batch] for part in (epochs[:3], epochs[3:]))
    assert len(set(first)) == len(first) == 24
    assert first != second
    assert {epoch for batch in epochs[3:] for epoch, _ in batch} == {1}


def test_a_run_that_resumes_within_an_epoch_sees_the_same_views() -> None:
    whole = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=9))
    assert list(Batches(images=25, batch_size=8, seed=0, start=4, stop=9)) == whole[4:]


def test_processes_divide_each_batch_without_overlap() -> None:
    whole = list(Batches(images=25, batch_size=8, seed=0, start=0, stop=3))
    shares = [list(Batches(25, 8, seed=0, start=0, stop=3, rank=rank, processes=2)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole


def test_a_missing_twin_is_an_error_with_the_command_that_makes_it(places: Path, tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "original").symlink_to(places / "places" / "original")
    with pytest.raises(DacoError, match="daco-data translate places"):
        views_of(tmp_path)
    store = ImageStore(32, CPU, memory_share=0.1)
    TrainingViews(DataSet(tmp_path, "places"), ("original",), EncoderConfig(image_size=32), 0, store)
