"""Right answers in validation: by pairs as published, or by positions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.recall import answers_of
from daco_training.evaluation.validation import Validation, find_validation

DEGREE = 111_195.0  # metres of a degree of latitude


def make(root: Path, names: dict[str, dict[str, float | None]]) -> DataSet:
    """Validation photographs by domain, each with metres north of the equator, or None for no position."""
    random = np.random.default_rng(0)
    for domain, photographs in names.items():
        folder = root / "set" / "original" / domain / "val"
        folder.mkdir(parents=True)
        for name in photographs:
            Image.fromarray(random.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / name)
        known = {name: PhotoLocation(north / DEGREE, 0.0) for name, north in photographs.items() if north is not None}
        if known:
            write_locations(folder, known)
    return DataSet(root, "set")


def test_photographs_with_equal_names_are_pairs_whatever_their_positions(tmp_path: Path) -> None:
    names = {"domain_a": {"day_1.png": 0.0, "day_2.png": 9.0}, "domain_b": {"night_1.png": 0.0, "night_2.png": 9.0}}
    validation = find_validation(make(tmp_path, names))
    assert validation is not None
    assert right_answers(validation).nonzero()[1].tolist() == [2, 3, 0, 1]
    assert validation.queries == {"a->b": 2, "b->a": 2, "a<->b": 4}


def test_unpaired_photographs_match_within_25_metres(tmp_path: Path) -> None:
    names = {"domain_a": {"x.png": 0.0, "y.png": 500.0}, "domain_b": {"p.png": 24.0, "q.png": 26.0, "r.png": 900.0}}
    validation = find_validation(make(tmp_path, names))
    assert validation is not None
    assert validation.rule == "within 25 m"
    assert right_answers(validation)[0].tolist() == [False, False, True, False, False]
    assert validation.queries == {"a->b": 1, "b->a": 1, "a<->b": 3}
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(backbone="test_resnet", image_size=32))
    recalls = validation.recalls(encoder, (1, 5))
    assert recalls["a->b"][5] == recalls["b->a"][5] == recalls["a<->b"][5] == 1.0


def test_photographs_far_from_all_others_give_no_validation(tmp_path: Path) -> None:
    names = {"domain_a": {"x.png": 0.0, "y.png": 500.0}, "domain_b": {"p.png": 9000.0, "q.png": 9600.0}}
    assert find_validation(make(tmp_path, names)) is None


@pytest.mark.parametrize("count", [2, 3])
def test_without_common_names_or_positions_there_are_no_pairs(tmp_path: Path, count: int) -> None:
    names = {"domain_a": {"x.png": None, "y.png": None}, "domain_b": {f"p{n}.png": None for n in range(count)}}
    assert find_validation(make(tmp_path, names)) is None


def test_a_published_data_set_is_paired_in_the_order_of_its_names(tmp_path: Path) -> None:
    names: dict[str, dict[str, float | None]] = {"domain_a": {"x.png": None}, "domain_b": {"p.png": None}}
    make(tmp_path, names)
    (tmp_path / "set").rename(tmp_path / "tokyo")
    validation = find_validation(DataSet(tmp_path, "tokyo"))
    assert validation is not None
    assert [image.name for image in validation.images] == ["x.png", "p.png"]


def test_pairs_have_equal_names_even_if_their_suffixes_sort_differently(tmp_path: Path) -> None:
    names: dict[str, dict[str, float | None]] = {
        "domain_a": {"a.jpg": None, "a.k.jpg": None, "10.jpg": None},
        "domain_b": {"a.png": None, "a.k.png": None, "10.png": None},
    }
    validation = find_validation(make(tmp_path, names))
    assert validation is not None
    partners = [validation.images[row].stem for row in right_answers(validation).argmax(axis=1)]
    assert partners == [image.stem for image in validation.images]


def right_answers(validation: Validation) -> np.ndarray:
    everyone = np.arange(len(validation.images))
    return answers_of(validation.same_place, everyone, everyone)[0]


def test_one_domain_alone_cannot_be_validated(tmp_path: Path) -> None:
    assert find_validation(make(tmp_path, {"domain_a": {"x.png": 0.0}})) is None
