"""The encoder that ships: it is included, small, and recognises new places by night."""

from pathlib import Path

import pytest
import torch

from daco_core.photographs.images import list_images
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.sources import DEFAULT, SHIPPED, load_encoder
from daco_training.evaluation.descriptors import embed_files
from daco_training.evaluation.recall import recall_at


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return load_encoder(DEFAULT)


def test_the_shipped_encoder_is_complete_and_has_at_most_18_megabytes(shipped: Encoder) -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 18e6
    assert shipped.config.training["method_name"] == "daco"
    assert shipped.dimension == 2560


def test_the_model_card_states_data_recall_and_limits() -> None:
    card = (SHIPPED / "README.md").read_text()
    assert all(heading in card for heading in ("## Data", "## Recall", "## Limits"))


@pytest.fixture(scope="module")
def walk(shared: Path) -> Path:
    folder = shared / "data" / "walk"
    if not folder.is_dir():
        pytest.skip("the walk's photographs are not on this machine")
    return folder


@pytest.fixture(scope="module")
def by_night(shipped: Encoder, walk: Path) -> torch.Tensor:
    return embed_files(shipped, list_images(walk / "night_right"), "night_right")


@pytest.mark.parametrize(("side", "least"), [("day_right", 0.95), ("day_left", 0.8)])
def test_the_shipped_encoder_finds_a_real_walk_by_night_in_the_same_walk_by_day(
    side: str, least: float, shipped: Encoder, walk: Path, by_night: torch.Tensor
) -> None:
    by_day = embed_files(shipped, list_images(walk / side), side)
    frames = torch.arange(100)
    right = (frames[:, None] - frames[None, :]).abs() <= 3
    assert recall_at(by_night @ by_day.T, right, [1])[1] >= least
