"""Contrastive unpaired translation."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.translation.compare import compare_translators
from daco_training.translation.cut import train
from daco_training.translation.cut.checkpoint import checkpoint_file, load_state
from daco_training.translation.cut.losses import judge, patch_nce
from daco_training.translation.cut.networks import PATCHES, Discriminator, Generator, PatchHeads, draw_places
from daco_training.translation.cut.train import CutSettings, train_cut
from daco_training.translation.cut.translator import CutTranslator, translate_image
from daco_training.translation.generate import generate_twins

TINY = CutSettings(iterations=6, image_size=64, width=4, blocks=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are far faster on one thread, above all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def dataset(tmp_path: Path) -> DataSet:
    random = np.random.default_rng(0)
    for domain, brightness, count in (("domain_a", 1.0, 3), ("domain_b", 0.3, 2)):
        folder = tmp_path / "set" / "original" / domain / "train"
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (9, 11, 3)) * brightness
            Image.fromarray(pixels.astype(np.uint8)).resize((90, 70)).save(folder / f"{number}.png")
    return DataSet(tmp_path, "set")


def weights(dataset: DataSet) -> dict[str, Tensor]:
    states = [
        load_state(checkpoint_file(dataset, *pair)) for pair in (("domain_a", "domain_b"), ("domain_b", "domain_a"))
    ]
    return {
        f"{number} {name}": value for number, state in enumerate(states) for name, value in state["networks"].items()
    }


def test_patch_nce_is_the_cross_entropy_of_similarities() -> None:
    keys = torch.eye(3)[None]
    queries = torch.tensor([[[0.8, 0.6, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    by_hand = 0.0
    for place, similarities in enumerate(([0.8, 0.6, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])):
        exponentials = [np.exp(similarity / 0.5) for similarity in similarities]
        by_hand -= np.log(exponentials[place] / sum(exponentials)) / 3
    assert float(patch_nce([queries], [keys], 0.5)) == pytest.approx(by_hand, rel=1e-5)
    # several feature maps are averaged, and several images keep their negatives to themselves
    assert float(patch_nce([queries, queries], [keys, keys], 0.5)) == pytest.approx(by_hand, rel=1e-5)
    both = torch.cat([queries, queries])
    assert float(patch_nce([both], [torch.cat([keys, keys])], 0.5)) == pytest.approx(by_hand, rel=1e-5)


def test_no_gradient_flows_into_the_keys() -> None:
    queries, keys = (functional.normalize(torch.randn(1, 5, 8), dim=2).requires_grad_() for _ in range(2))
    patch_nce([queries], [keys]).backward()
    assert queries.grad is not None
    assert keys.grad is None


def test_the_discriminators_loss_is_the_squared_distance_from_the_truth() -> None:
    scores = torch.tensor([0.0, 1.0, 3.0])
    assert float(judge(scores, True)) == pytest.approx((1 + 0 + 4) / 3)
    assert float(judge(scores, False)) == pytest.approx((0 + 1 + 9) / 3)


def test_networks_have_the_documented_shapes() -> None:
    images = torch.zeros(2, 3, 64, 96)
    generator = Generator(4, 3)
    made, features = generator.translate(images)
    assert made.shape == images.shape
    assert [feature.shape[1] for feature in features] == generator.channels
    assert [feature.shape[2] for feature in features] == [64, 32, 16, 16, 16]
    assert Discriminator(4)(images).shape == (2, 1, 6, 10)
    places = draw_places(features, torch.Generator().manual_seed(0))
    assert all(len(set(place.tolist())) == PATCHES for place in places)
    vectors = PatchHeads(generator.channels)(features, places)
    assert all(vector.shape[:2] == (2, PATCHES) for vector in vectors)


def test_a_discriminators_score_sees_70_pixels() -> None:
    image = torch.zeros(1, 3, 160, 160, requires_grad=True)
    network = Discriminator(4)
    # instance norm looks at the whole image: without it only the convolutions' reach is left
    convolutions = torch.nn.Sequential(*[layer for layer in network if isinstance(layer, torch.nn.Conv2d)])
    convolutions(image)[0, 0, 9, 9].backward()
    assert image.grad is not None
    assert int((image.grad[0].abs().sum((0, 1)) > 0).sum()) == 70


def test_training_writes_models_samples_and_finite_losses(dataset: DataSet, capsys: pytest.CaptureFixture[str]) -> None:
    train_cut(dataset, TINY, "cpu")
    assert all(torch.isfinite(weight).all() for weight in weights(dataset).values())
    folder = dataset.folder / "translation" / "cut"
    assert sorted(file.name for file in (folder / "samples").iterdir()) == [
        "domain_a_to_domain_b_000006.jpg",
        "domain_b_to_domain_a_000006.jpg",
    ]
    capsys.readouterr()
    train_cut(dataset, TINY, "cpu")  # there is nothing left to do
    assert load_state(checkpoint_file(dataset, "domain_a", "domain_b"))["step"] == 6


def test_training_learns_to_keep_patches_recognisable() -> None:
    direction = train.Direction(CutSettings(iterations=60, image_size=64, width=4, blocks=2)).prepare(
        torch.device("cpu")
    )
    random = torch.Generator().manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(2, 3, 16, 16, generator=random) * 2 - 1, size=(64, 64))
    losses = [direction.train_step(images[:1], images[1:]) for _ in range(40)]
    assert all(torch.isfinite(loss) for step in losses for loss in step.values())
    assert losses[-1]["nce"] < 0.8 * losses[0]["nce"]


def test_a_stopped_training_resumes_to_the_same_result(
    dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_cut(dataset, TINY, "cpu")
    uninterrupted = weights(dataset)
    (dataset.folder / "translation").rename(tmp_path / "first")

    step = train.Direction.train_step

    def stopped(direction: train.Direction, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        losses = step(direction, source, target)
        if direction.step == 4:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(train.Direction, "train_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_cut(dataset, TINY, "cpu")
    assert load_state(checkpoint_file(dataset, "domain_a", "domain_b"))["step"] == 4
    train_cut(dataset, TINY, "cpu")
    resumed = weights(dataset)
    assert resumed.keys() == uninterrupted.keys()
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in resumed)


def test_twins_come_from_the_trained_models_and_record_them(dataset: DataSet) -> None:
    with pytest.raises(DacoError, match="train it with daco-data translate set --method cut"):
        generate_twins(dataset, "cut")
    assert "cut" in compare_translators(dataset).left_out
    train_cut(dataset, TINY, "cpu")
    assert generate_twins(dataset, "cut").made == 5
    photograph = dataset.images("domain_a", "train")[0]
    assert Image.open(dataset.twin(photograph)).size == (90, 70)
    assert "cut" not in compare_translators(dataset).left_out
    train_cut(dataset, CutSettings(**{**vars(TINY), "iterations": 8}), "cpu")
    with pytest.raises(DacoError, match="--overwrite"):
        generate_twins(dataset, "cut")


def test_twins_of_another_method_are_rejected_before_training(dataset: DataSet, forked: Path) -> None:
    generate_twins(dataset, "fourier")
    command = [forked / "daco-data", "translate", "set", "--data-root", dataset.data_root, "--method", "cut"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "made by fourier: --overwrite" in done.stderr
    assert not checkpoint_file(dataset, "domain_a", "domain_b").exists()


def test_twins_of_models_that_would_be_trained_further_are_rejected_before_training(
    dataset: DataSet, forked: Path
) -> None:
    def translate(iters: int, *more: str) -> subprocess.CompletedProcess[str]:
        small = ["--image-size", "64", "--width", "4", "--device", "cpu", "--iters", str(iters)]
        options = ["--data-root", dataset.data_root, "--method", "cut", *small, *more]
        command = [forked / "daco-data", "translate", "set", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert translate(1).returncode == 0
    assert "0 twins made, 5 already existed" in translate(1).stdout
    refused = translate(2)
    assert refused.returncode == 1
    assert "--overwrite trains it further" in refused.stderr
    assert load_state(checkpoint_file(dataset, "domain_a", "domain_b"))["step"] == 1
    assert "5 twins made" in translate(2, "--overwrite").stdout


def test_models_with_other_settings_and_damaged_models_are_rejected(dataset: DataSet) -> None:
    train_cut(dataset, TINY, "cpu")
    with pytest.raises(DacoError, match="was trained with"):
        train_cut(dataset, CutSettings(**{**vars(TINY), "width": 8}), "cpu")
    file = checkpoint_file(dataset, "domain_a", "domain_b")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DacoError, match="is damaged"):
        CutTranslator(dataset)


@pytest.mark.parametrize("size", [(90, 70), (61, 83), (700, 300), (9, 9), (1, 1)])
def test_an_image_of_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    assert translate_image(Generator(4, 1).eval(), Image.new("RGB", size, "red")).size == size
