"""Interpolation between two encoders."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_training.encoder.averaging import average_encoders
from daco_training.encoder.encoder import Encoder

CONFIG = EncoderConfig("test_resnet", "grid", 64)


def encoder(seed: int, config: EncoderConfig = CONFIG) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(config)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_is_interpolated_by_the_given_share(share: float) -> None:
    first, second = encoder(1).state_dict(), encoder(2).state_dict()
    mixed = average_encoders(encoder(1), encoder(2), share).state_dict()
    assert mixed.keys() == first.keys()
    for name, tensor in mixed.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (1 - share) * first[name] + share * second[name])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"backbone": "resnet18"}, "backbone is test_resnet"),
        ({"pooling": "gem"}, "pooling"),
        ({"image_size": 32}, "32"),
    ],
)
def test_encoders_of_different_forms_cannot_be_interpolated(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(DacoError, match=sentence):
        average_encoders(encoder(1), encoder(2, replace(CONFIG, **change)), 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_an_impossible_share_is_rejected(share: float) -> None:
    with pytest.raises(DacoError, match="from 0 to 1"):
        average_encoders(encoder(1), encoder(2), share)


def test_encoders_with_different_weights_of_rows_cannot_be_interpolated() -> None:
    first = encoder(1)
    first.pooling.favour_the_middle()  # type: ignore[union-attr]
    with pytest.raises(DacoError, match="different layers"):
        average_encoders(first, encoder(2), 0.5)


def test_the_command_records_how_both_encoders_were_trained(tmp_path: Path, forked: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        config = replace(CONFIG, training={"tail_lr": float(seed)}, recall={"a->b": {"1": 0.5}})
        encoder(seed, config).save(tmp_path / name)
    arguments = [tmp_path / "one", tmp_path / "two", "--share", "0.25", "--out", tmp_path / "out"]
    subprocess.run([forked / "daco-train", "average", *arguments], check=True)
    made = json.loads((tmp_path / "out" / "encoder.json").read_text())
    assert made["training"] == {"tail_lr": 1.0, "averaged": {"share": 0.25, "with": {"tail_lr": 2.0}}}
    assert not made["recall"], "it was not measured"
    expected = average_encoders(encoder(1), encoder(2), 0.25)
    assert Encoder.load(tmp_path / "out").fingerprint == expected.fingerprint
