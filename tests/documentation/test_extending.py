"""The method, the translator and the store of docs/guide/extend.md work as described."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.photographs.layout import DataSet
from daco_index.build import BuildOptions, build_index
from daco_index.search.bundle import Bundle
from daco_training.loop.settings import PUBLISHED_BATCH_SIZE, PUBLISHED_MOMENTUM, TrainOptions
from daco_training.loop.trainer import train
from daco_training.methods import METHODS
from daco_training.translation.generate import generate_twins
from daco_training.translation.translator import TRANSLATORS

from .pages import blocks

FILE = "tests/documentation/test_extending.py"
TABLES: tuple[dict[str, Any], ...] = (METHODS, PUBLISHED_BATCH_SIZE, PUBLISHED_MOMENTUM, TRANSLATORS)


def shown(name: str) -> dict[str, Any]:
    """What the page's block that defines a class gives."""
    (block,) = [block for block in blocks("python") if block.tried_by == FILE and f"class {name}" in block.text]
    names: dict[str, Any] = {"__name__": name}
    exec(compile(block.text, str(block), "exec"), names)
    return names


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """The project's tables, which the page adds to, are afterwards as they were."""
    before = [dict(table) for table in TABLES]
    yield
    for table, kept in zip(TABLES, before, strict=True):
        table.clear()
        table.update(kept)


def test_the_example_method_trains_and_its_encoder_builds_an_index(places: Path, tmp_path: Path) -> None:
    shown("Decoupled")
    settings = TrainOptions(
        data_root=places,
        data_name="places",
        method_name="decoupled",
        save_root=tmp_path,
        backbone="test_resnet",
        image_size=64,
        iters=2,
        batch_size=4,
        workers=0,
    ).resolve()
    assert train(settings, accelerator="cpu").finished
    report = build_index(
        "places/domain_a",
        str(settings.encoder_folder),
        tmp_path / "map",
        BuildOptions(data_root=places, progress=False, device="cpu"),
    )
    assert report.manifest.count == 18


def test_the_example_methods_loss_is_low_only_if_twins_are_similar() -> None:
    method = shown("Decoupled")["Decoupled"](0.1)

    class Projected:
        def __call__(self, *views: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return views

    rows = torch.eye(4)
    together = method.loss(Projected(), (rows, rows), torch.arange(4))
    apart = method.loss(Projected(), (rows, rows.roll(1, 0)), torch.arange(4))
    # each of 8 rows repels 6 others at similarity 0; its twin is at 10
    assert together.item() == pytest.approx(np.log(6) - 10, abs=1e-5)
    assert apart.item() > together.item() + 10


def test_the_example_translator_makes_darker_twins(places: Path, tmp_path: Path) -> None:
    shown("Dusk")
    root = tmp_path / "data"
    for image in DataSet(places, "places").training_images():
        target = root / image.relative_to(places)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image.read_bytes())
    dataset = DataSet(root, "places")
    assert generate_twins(dataset, "dusk", seed=1).made == 24
    first = dataset.images("domain_a", "train")[0]
    with Image.open(first) as original, Image.open(dataset.twin(first)) as twin:
        before, after = (np.asarray(image.convert("RGB")).mean(axis=(0, 1)) for image in (original, twin))
    assert twin.size == original.size
    assert (after / before < 0.75).all()
    assert after[0] / before[0] < after[2] / before[2]


def test_an_index_gives_the_same_answers_from_the_example_store(workshop: Path, tmp_path: Path) -> None:
    numpy_store = shown("NumpyStore")["NumpyStore"]
    bundle = Bundle.open(workshop / "maps" / "day")
    ids = bundle.store.ids()
    vectors = bundle.store.vectors(ids)
    store = numpy_store(bundle.store.dimension)
    store.add(vectors, ids)
    store.save(tmp_path / "store")
    other = replace(bundle, store=numpy_store.load(tmp_path / "store"))
    assert [[match.entry.id for match in row] for row in other.search(vectors, 3)] == [
        [match.entry.id for match in row] for row in bundle.search(vectors, 3)
    ]
