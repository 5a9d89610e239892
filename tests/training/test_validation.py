"""What counts as right in validation: pairs as published, positions where photographs are no pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.validation import find_validation

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


def test_photographs_of_the_same_name_are_pairs_wherever_they_were_taken(tmp_path: Path) -> None:
    names = {"domain_a": {"day_1.png": 0.0, "day_2.png": 9.0}, "domain_b": {"night_1.png": 0.0, "night_2.png": 9.0}}
    validation = find_validation(make(tmp_path, names))
    assert validation is not None
    assert validation.correct.nonzero().tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]
    assert validation.queries == {"a->b": 2, "b->a": 2, "a<->b": 4}


def test_unpaired_photographs_match_within_25_metres(tmp_path: Path) -> None:
    names = {"domain_a": {"x.png": 0.0, "y.png": 500.0}, "domain_b": {"p.png": 24.0, "q.png": 26.0, "r.png": 900.0}}
    validation = find_validation(make(tmp_path, names))
    assert validation is not None
    assert validation.rule == "within 25 m"
    assert validation.correct[0].tolist() == [False, False, True, False, False]
    assert validation.queries == {"a->b": 1, "b->a": 1, "a<->b": 3}
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(backbone="resnet18", image_size=32))
    recalls = validation.recalls(encoder, (1, 5))
    assert recalls["a->b"][5] == recalls["b->a"][5] == recalls["a<->b"][5] == 1.0


def test_photographs_that_are_far_from_all_others_are_nothing_to_validate_on(tmp_path: Path) -> None:
    names = {"domain_a": {"x.png": 0.0, "y.png": 500.0}, "domain_b": {"p.png": 9000.0, "q.png": 9600.0}}
    assert find_validation(make(tmp_path, names)) is None


@pytest.mark.parametrize(("count", "rule"), [(2, "pairs in the order of their names"), (3, None)])
def test_without_common_names_and_positions_only_domains_of_equal_length_pair_up(
    tmp_path: Path, count: int, rule: str | None
) -> None:
    names = {"domain_a": {"x.png": None, "y.png": None}, "domain_b": {f"p{n}.png": None for n in range(count)}}
    validation = find_validation(make(tmp_path, names))
    assert (validation and validation.rule) == rule


def test_one_domain_alone_cannot_be_validated(tmp_path: Path) -> None:
    assert find_validation(make(tmp_path, {"domain_a": {"x.png": 0.0}})) is None
