"""The normaliser: its published definition and values, and any number of images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.datasets.statistics import PUBLISHED, measure, normaliser

from .conftest import DacoData


def make_set(root: Path, name: str, images: dict[str, np.ndarray]) -> DataSet:
    """A data set of pictures given by their path below `original`."""
    for path, pixels in images.items():
        file = root / name / "original" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (root / name / "original").mkdir(parents=True, exist_ok=True)
    return DataSet(root, name)


def noise(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, generator.integers(2, 256), (height, width, 3), dtype=np.uint8)


def test_mean_and_deviation_are_averages_over_those_of_the_training_images(tmp_path: Path) -> None:
    training = [noise(seed, height=10 + seed) for seed in range(5)]
    images = {f"domain_{'ab'[seed % 2]}/train/{seed}.png": pixels for seed, pixels in enumerate(training)}
    dataset = make_set(tmp_path, "mine", {**images, "domain_a/val/9.png": np.zeros((5, 5, 3), np.uint8)})
    floats = [pixels.reshape(-1, 3) / 255 for pixels in training]
    mean, deviation = normaliser(dataset)
    assert mean == pytest.approx(np.mean([image.mean(axis=0) for image in floats], axis=0), abs=1e-4)
    assert deviation == pytest.approx(np.mean([image.std(axis=0) for image in floats], axis=0), abs=1e-4)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_a_published_data_set_has_the_published_mean_and_deviation(tmp_path: Path, name: str) -> None:
    dataset = make_set(tmp_path, name, {"domain_a/train/1.png": noise(1)})
    assert normaliser(dataset) == PUBLISHED[name]


def test_all_images_are_counted_when_there_are_more_than_the_threads_hold(tmp_path: Path) -> None:
    files = []
    for number in range(150):
        files.append(tmp_path / f"{number}.png")
        Image.new("RGB", (2, 2), (number, 0, 255)).save(files[-1])
    mean, deviation = measure(files)
    assert mean == pytest.approx((74.5 / 255, 0, 1), abs=1e-4) and deviation == (0, 0, 0)


def test_a_data_set_without_training_photographs_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DacoError, match="no training photographs"):
        normaliser(make_set(tmp_path, "mine", {"domain_a/val/1.png": noise(1)}))


def test_the_command_prints_the_measured_and_the_published_values(tmp_path: Path, daco_data: DacoData) -> None:
    make_set(tmp_path, "tokyo", {"domain_a/train/1.png": np.full((4, 4, 3), 255, np.uint8)})
    done = daco_data("stats", "tokyo", "--json", "--data-root", tmp_path)
    printed = json.loads(done.stdout)
    assert printed["published"] is True
    assert printed["measured"]["mean"] == [1.0, 1.0, 1.0]
    assert tuple(printed["normaliser"]["mean"]) == PUBLISHED["tokyo"][0]
