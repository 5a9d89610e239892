"""The recipes: their parts, and that the modern one can be resumed and ablated."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from daco_core.errors import DacoError
from daco_training.encoder.backbones import create_backbone
from daco_training.encoder.encoder import Encoder
from daco_training.loop.interrupt import StopSignal
from daco_training.loop.recipe import PARTS
from daco_training.loop.settings import TrainOptions, TrainSettings
from daco_training.loop.trainer import train

SMALL = {"backbone": "test_resnet", "pretrained": "none", "image_size": 64, "batch_size": 4, "workers": 0, "iters": 4}


class StopAtOnce(StopSignal):
    """As if Ctrl-C came in the first iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.requested = True


def modern(data_root: Path, save_root: Path, **changes: object) -> TrainSettings:
    values = {**SMALL, "data_root": data_root, "data_name": "places", "save_root": save_root, **changes}
    return TrainOptions(recipe="modern", **values).resolve()  # type: ignore[arg-type]


def test_the_published_recipe_is_the_default_and_has_no_part_of_the_modern_one() -> None:
    made = TrainOptions().resolve()
    assert (made.backbone, made.pooling, made.resize, made.pretrained, made.lr) == (
        "resnet50", "avg", "shorter", "none", 1e-3,
    )  # fmt: skip
    assert not any(getattr(made.parts, part) for part in PARTS)


def test_the_modern_recipe_sets_options_that_are_not_given() -> None:
    made = TrainOptions(recipe="modern", lr=5e-5).resolve()
    assert (made.backbone, made.pooling, made.pretrained, made.lr) == (
        "tf_efficientnet_lite0",
        "grid",
        "imagenet",
        5e-5,
    )
    assert all(getattr(made.parts, part) for part in PARTS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"recipe": "old"}, "published or modern"),
        ({"recipe": "modern", "without": ("luck",)}, "no part 'luck'"),
        ({"without": ("grid",)}, "--recipe modern"),
        ({"gpu_ids": ()}, "--gpu_ids needs numbers of GPUs"),
    ],
)
def test_an_unknown_recipe_or_part_is_rejected(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(DacoError, match=sentence):
        TrainOptions(**wrong).resolve()  # type: ignore[arg-type]


def test_a_frozen_backbone_is_unchanged_and_the_layers_above_it_learn(places: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(create_backbone("test_resnet").state_dict(), weights)
    run = modern(places, tmp_path, pretrained=str(weights))
    assert train(run).finished
    trained, begun = Encoder.load(run.encoder_folder).state_dict(), load_file(weights)
    kept = {name: tensor for name, tensor in trained.items() if name.startswith("backbone.")}
    assert kept and all(torch.equal(tensor, begun[name.removeprefix("backbone.")]) for name, tensor in kept.items())
    untrained = modern(places, tmp_path / "untrained", pretrained=str(weights), lr=1e-12)
    assert train(untrained).finished
    reduce = "pooling.reduce.0.weight"
    assert not torch.equal(trained[reduce], Encoder.load(untrained.encoder_folder).state_dict()[reduce])


def test_with_tail_lr_only_the_last_stage_of_a_frozen_backbone_learns(places: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(create_backbone("test_resnet").state_dict(), weights)
    run = modern(places, tmp_path, pretrained=str(weights), tail_lr=1e-3)
    assert train(run).finished
    trained, begun = Encoder.load(run.encoder_folder).backbone.state_dict(), load_file(weights)
    moved = {name for name, tensor in trained.items() if not torch.equal(tensor, begun[name])}
    assert moved and all(name.startswith("layer4.") for name in moved)
    assert not any("running" in name for name in moved), "its statistics stay"


def test_the_last_stage_has_its_own_learning_rate(places: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(create_backbone("test_resnet").state_dict(), weights)
    run = modern(places, tmp_path, pretrained=str(weights), tail_lr=1e-12, iters=1)
    assert train(run).finished
    trained, begun = Encoder.load(run.encoder_folder).backbone.state_dict(), load_file(weights)
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor, begun[name], atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"recipe": "published", "tail_lr": 1e-4}, "needs a frozen pretrained backbone"),
        ({"recipe": "modern", "without": ("frozen",), "tail_lr": 1e-4}, "needs a frozen pretrained backbone"),
        ({"recipe": "modern", "pretrained": "none", "tail_lr": 1e-4}, "needs a frozen pretrained backbone"),
        ({"recipe": "modern", "tail_lr": -1.0}, "at least 0"),
    ],
)
def test_tail_lr_is_rejected_without_a_frozen_backbone(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(DacoError, match=sentence):
        TrainOptions(**wrong).resolve()  # type: ignore[arg-type]


def test_a_checkpoint_without_tail_settings_resumes_unchanged() -> None:
    recorded = TrainOptions(recipe="modern").resolve().recorded()
    del recorded["tail_lr"]
    TrainOptions(recipe="modern").resolve().check_continues(recorded)
    with pytest.raises(DacoError, match=r"tail_lr was 0.0, now 0.001"):
        TrainOptions(recipe="modern", tail_lr=1e-3).resolve().check_continues(recorded)


METHODS = ("daco", "simclr", "simsiam", "moco", "npid")


@pytest.mark.parametrize(
    ("tail", "method"),
    [
        *((True, method) for method in METHODS),
        (False, "daco"),
        # the same way through the loop, with less that learns
        *(pytest.param(False, method, marks=pytest.mark.slow) for method in METHODS[1:]),
    ],
)
def test_every_method_trains_with_the_modern_recipe_and_resumes_to_the_same_encoder(
    method: str, tail: bool, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(create_backbone("test_resnet").state_dict(), weights)
    pretrained: dict[str, object] = {"pretrained": str(weights), "tail_lr": 1e-4} if tail else {}
    once = modern(places, tmp_path / "once", method_name=method, negs=8, **pretrained)
    assert train(once).finished
    stopped = once.but(save_root=tmp_path / "stopped")
    with monkeypatch.context() as patch:
        patch.setattr("daco_training.loop.trainer.StopSignal", StopAtOnce)
        assert not train(stopped).finished
    assert train(stopped, resume=True).finished
    whole = Encoder.load(once.encoder_folder)
    assert Encoder.load(stopped.encoder_folder).fingerprint == whole.fingerprint
    assert whole.config.training["recipe"] == "modern"


@pytest.mark.parametrize("part", PARTS)
def test_the_modern_recipe_trains_without_each_of_its_parts(part: str, places: Path, tmp_path: Path) -> None:
    run = modern(places, tmp_path, without=(part,), iters=1)
    assert train(run).finished
    assert run.pooling == ("gem" if part == "grid" else "grid")


def test_a_run_without_trainable_parameters_is_rejected(places: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(create_backbone("test_resnet").state_dict(), weights)
    with pytest.raises(DacoError, match=r"Nothing is left to train.*--pooling grid, or --without frozen or direct"):
        train(modern(places, tmp_path, pretrained=str(weights), pooling="avg"))
    assert train(modern(places, tmp_path, pretrained=str(weights), pooling="avg", tail_lr=1e-4)).finished
