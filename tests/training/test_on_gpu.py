"""Training on a GPU equals training on a CPU, with and without CUDA graphs; runs are reproducible and resumable."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from daco_training.loop.settings import TrainOptions, TrainSettings
from daco_training.loop.trainer import Trainer, train
from daco_training.views.augmentation import Render, draw_view, render
from daco_training.views.compiled import render_together

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")]

METHODS = ["daco", "simclr", "simsiam", "moco", "npid"]
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture
def settings(tmp_path: Path, places: Path) -> TrainSettings:
    return TrainOptions(
        data_root=places,
        data_name="places",
        save_root=tmp_path / "result",
        backbone="test_resnet",
        image_size=64,
        batch_size=4,
        iters=12,
        negs=16,
    ).resolve()


def losses(settings: TrainSettings, recorded: bool, count: int = 8) -> list[float]:
    trainer = Trainer(settings, "cuda", 1)
    trainer.network.train()
    if not recorded:
        trainer.project.network = trainer.network

    def counted() -> Iterator[float]:
        for loss in trainer.steps(trainer.batches()):
            yield loss
            trainer.progress.iteration += 1

    return list(islice(counted(), count))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("method", METHODS)
def test_steps_with_and_without_cuda_graphs_agree(settings: TrainSettings, method: str, precision: str) -> None:
    settings = settings.but(method_name=method, precision=precision)
    exact = 1e-4 if precision == "fp32" else 3e-2
    np.testing.assert_allclose(losses(settings, True), losses(settings, False), rtol=exact, atol=exact)


@pytest.mark.parametrize("recipe", ["published", "modern"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_seed_gives_the_same_losses(settings: TrainSettings, precision: str, recipe: str) -> None:
    settings = TrainOptions(
        recipe=recipe,
        data_root=settings.data_root,
        data_name="places",
        save_root=settings.save_root,
        pretrained="none",
        image_size=64,
        batch_size=4,
        iters=12,
        precision=precision,
    ).resolve()
    assert losses(settings, True) == losses(settings, True)


def test_a_stopped_run_resumes_to_the_same_network(settings: TrainSettings) -> None:
    train(settings, accelerator="cuda")
    again = settings.but(save_root=settings.save_root / "again")
    train(again.but(iters=7), accelerator="cuda")
    train(again, resume=True, accelerator="cuda")
    one, other = (torch.load(run.checkpoint_file, weights_only=True)["network"] for run in (settings, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_compiled_and_uncompiled_steps_agree(settings: TrainSettings) -> None:
    settings = settings.but(lr=1e-4)  # at a higher rate rounding grows to percents in two steps
    compiled = losses(settings.but(compile=True), True)
    np.testing.assert_allclose(compiled[:3], losses(settings, True)[:3], rtol=1e-2)
    assert compiled == losses(settings.but(compile=True), True), "a seed gives the same losses"


@pytest.mark.parametrize("drawn", [render, render_together])
def test_views_equal_those_of_a_cpu(drawn: Render) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (40, 56), (56, 40), (200, 260), (48, 48)
    images = [torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8) for shape in shapes * 8]
    random = np.random.default_rng(0)
    views = [draw_view(random, *image.shape[1:]) for image in images]
    on_cpu = render(images, views, 64, MEAN, STD)
    on_gpu = drawn([image.cuda() for image in images], views, 64, MEAN, STD).cpu()
    # one of 255 more or less in a crop is up to a tenth here, after contrast and normalisation
    assert (on_gpu - on_cpu).abs().mean() < 0.01
    assert (on_gpu - on_cpu).abs().quantile(0.999) < 0.1
