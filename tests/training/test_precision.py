"""`--precision auto` selects bf16 if the hardware computes faster with it."""

import pytest
import torch

from daco_core.errors import DacoError
from daco_training.loop.precision import choose_precision, has_depthwise
from daco_training.loop.recipe import RECIPES
from daco_training.loop.settings import TrainOptions


def cpu_with(monkeypatch: pytest.MonkeyPatch, **abilities: bool | str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)


def test_auto_is_bf16_on_a_cpu_with_amx_but_not_for_depthwise_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, amx_bf16=True, avx512_bf16=True)
    assert choose_precision("auto", "resnet18", "cpu") == "bf16"
    assert choose_precision("auto", "tf_efficientnet_lite0", "cpu") == "fp32"


def test_auto_is_fp32_on_other_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, cpu_name="Intel(R) Xeon(R) Gold 6342", amx_bf16=False, avx512_bf16=True)
    assert choose_precision("auto", "resnet18", "cpu") == "fp32"
    cpu_with(monkeypatch, cpu_name="AMD EPYC", amx_bf16=False, avx512_bf16=False)
    assert choose_precision("auto", "resnet18", "cpu") == "fp32"


def test_auto_is_bf16_on_amd_cpus_with_avx512_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, cpu_name="AMD EPYC", amx_bf16=False, avx512_bf16=True)
    assert choose_precision("auto", "resnet18", "cpu") == "bf16"
    assert choose_precision("auto", "tf_efficientnet_lite0", "cpu") == "fp32"
    assert choose_precision("auto", "tf_efficientnet_lite0", "cpu", frozen=True) == "bf16"


def test_frozen_networks_use_fp32_unless_bf16_was_measured_to_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, tiles in (("AMD EPYC", False), ("Intel(R) Xeon(R) Platinum 8481C", True)):
        cpu_with(monkeypatch, cpu_name=name, amx_bf16=tiles, avx512_bf16=tiles)
        assert choose_precision("auto", "tf_efficientnet_lite0", "cpu", frozen=True) == "fp32"


def test_the_published_recipe_uses_fp32_and_the_modern_recipe_uses_auto() -> None:
    assert [TrainOptions(recipe=recipe).resolve().precision for recipe in RECIPES] == ["fp32", "auto"]


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_on_a_gpu_that_supports_it(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert choose_precision("auto", "tf_efficientnet_lite0", "cuda") == ("bf16" if native else "fp32")


def test_a_requested_precision_is_used_and_fp16_only_on_a_gpu() -> None:
    assert [choose_precision(asked, "resnet18", "cpu") for asked in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert choose_precision("fp16", "resnet18", "cuda") == "fp16"
    with pytest.raises(DacoError, match="needs a GPU"):
        choose_precision("fp16", "resnet18", "cpu")


@pytest.mark.parametrize(
    ("backbone", "depthwise"), [("resnet50", False), ("resnext50_32x4d", False), ("tf_efficientnet_lite0", True)]
)
def test_depthwise_networks_are_recognised(backbone: str, depthwise: bool) -> None:
    assert has_depthwise(backbone) is depthwise
