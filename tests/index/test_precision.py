"""Queries use less precision than fp32 only after a test; the manifest records its result."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError
from daco_core.photographs.images import list_images, open_rgb
from daco_index.build import BuildOptions, build_index
from daco_index.embedding import precision
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.openvino import OpenVinoEngine, has_bf16
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.embedding.precision_record import Tried
from daco_index.embedding.query_corruption import STRENGTHS, degraded
from daco_index.generations.change import add_photographs, remove_photographs
from daco_index.generations.rollback import roll_back
from daco_index.search.bundle import Bundle, read_manifest

pytest.importorskip("nncf", reason="the extra int8 is not installed")


@pytest.fixture(scope="module")
def town(encoder_folder, photographs, tmp_path_factory) -> tuple[Path, Path]:
    """A folder of 12 photographs and its index, for which int8 was asked and proved."""
    root = tmp_path_factory.mktemp("town")
    photographs(root / "photographs", 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "QUERIES", 48)
        patch.setattr(precision, "MOST_LOSS", 10.0)  # a tiny untrained network is no judge of int8
        report = build_index(
            str(root / "photographs"),
            str(encoder_folder),
            root / "index",
            BuildOptions(progress=False, precision="int8"),
        )
    assert report.manifest.queries.precision == "int8", report.manifest.queries
    return root / "photographs", root / "index"


def test_the_manifest_contains_the_chosen_precision_and_its_measured_loss(town, built):
    content = json.loads((town[1] / "generations" / "1" / "manifest.json").read_text())
    queries = content["queries"]
    assert (queries["precision"], queries["requested"], queries["queries"]) == ("int8", "int8", 48)
    tried = {one["precision"]: one for one in queries["tried"]}
    assert tried["int8"]["accepted"]
    assert tried["int8"]["recall"] >= tried["int8"]["recall_fp32"] - 10
    assert 0.9 < tried["int8"]["agreement"] <= 1.0001
    assert {"int8/model.xml", "int8/model.bin"} <= set(content["files"])
    assert read_manifest(built[1]).queries.precision == "fp32", "auto cannot prove anything on twelve photographs"


def test_int8_queries_find_references_that_are_embedded_in_fp32(town, encoder_folder):
    bundle = Bundle.open(town[1])
    images = [open_rgb(path) for path in list_images(town[0])]
    exact = create_engine(open_encoder(encoder_folder), "cpu").embed(images)
    held = bundle.store.vectors(np.arange(12))
    np.testing.assert_allclose(held, exact, atol=1e-5)
    engine = query_engine(bundle, "cpu")
    assert engine.description == "OpenVINO int8"
    rows = engine.embed(images)
    assert not np.allclose(rows, exact, atol=1e-5)
    assert (rows * exact).sum(axis=1).min() > 0.9
    assert [answer[0].entry.id for answer in bundle.search(rows, 1)] == list(range(12))
    assert query_engine(bundle, "cpu", "fp32").description == "OpenVINO fp32"


def test_changes_of_the_index_keep_its_precision(town, photographs, tmp_path):
    index = Path(shutil.copytree(town[1], tmp_path / "index"))
    photographs(tmp_path / "more", 3)
    effort = EmbeddingOptions(device="cpu", progress=False)
    for change in (
        lambda: add_photographs(index, str(tmp_path / "more"), options=effort),
        lambda: remove_photographs(index, ids=[0]),
        lambda: roll_back(index),
    ):
        change()
        bundle = Bundle.open(index)
        assert bundle.manifest.queries == read_manifest(town[1]).queries
        assert query_engine(bundle, "cpu").description == "OpenVINO int8"


def test_a_precision_with_too_much_loss_is_not_used_and_the_manifest_says_why(
    encoder_folder, photographs, tmp_path, monkeypatch
):
    photographs(tmp_path / "p", 6)
    real = OpenVinoEngine.embed_prepared

    def spoilt(self, tensors):
        rows = real(self, tensors)
        return rows if "fp32" in self.description else np.roll(rows, 1, axis=1)

    monkeypatch.setattr(precision, "QUERIES", 24)
    monkeypatch.setattr(OpenVinoEngine, "embed_prepared", spoilt)
    report = build_index(
        str(tmp_path / "p"), str(encoder_folder), tmp_path / "i", BuildOptions(progress=False, precision="int8")
    )
    queries = report.manifest.queries
    assert (queries.precision, queries.requested) == ("fp32", "int8")
    assert "int8 costs" in queries.reason
    assert not (tmp_path / "i" / "generations" / "1" / "int8").exists()
    assert query_engine(Bundle.open(tmp_path / "i"), "cpu").description == "OpenVINO fp32"


needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")


@needs_bf16
def test_auto_needs_enough_references_and_uses_only_faster_precisions(
    encoder_folder, photographs, tmp_path, monkeypatch
):
    photographs(tmp_path / "p", 6)
    monkeypatch.setattr(precision, "QUERIES", 24)
    monkeypatch.setattr(precision, "LEAST_REFERENCES", 6)
    monkeypatch.setattr(precision, "can_quantise", lambda: False)
    monkeypatch.setattr(precision, "MOST_LOSS", 100.0)
    for gain, expected in ((1000.0, "fp32"), (0.0, "bf16")):
        monkeypatch.setattr(precision, "LEAST_GAIN", gain)
        report = build_index(str(tmp_path / "p"), str(encoder_folder), tmp_path / "i", BuildOptions(progress=False))
        assert report.manifest.queries.precision == expected
        assert [one.precision for one in report.manifest.queries.tried] == ["bf16"]


def test_the_fastest_precision_without_loss_is_used_unless_one_was_requested():
    int8, bf16 = (Tried(name, 87.5, 87.5, 0.998, speed, True) for name, speed in (("int8", 1.6), ("bf16", 1.8)))
    assert precision.pick([int8, bf16], "auto") is bf16
    assert precision.pick([int8, bf16], "int8") is int8
    assert precision.pick([int8, replace(bf16, accepted=False)], "auto") is int8
    assert precision.pick([replace(int8, accepted=False)], "int8") is None


def test_an_unavailable_precision_is_rejected_before_the_build(encoder_folder, photographs, tmp_path, monkeypatch):
    photographs(tmp_path / "p", 2)
    monkeypatch.setattr(precision, "can_quantise", lambda: False)
    with pytest.raises(DacoError, match=r"daco-serve\[int8\]"):
        build_index(
            str(tmp_path / "p"), str(encoder_folder), tmp_path / "i", BuildOptions(progress=False, precision="int8")
        )
    assert not (tmp_path / "i").exists()


def test_an_index_without_an_int8_form_says_so(built):
    with pytest.raises(DacoError, match="--precision int8"):
        query_engine(Bundle.open(built[1]), "cpu", "int8")


@needs_bf16
def test_degraded_copies_of_every_strength_are_looked_up(encoder_folder, photographs, tmp_path, monkeypatch):
    paths = photographs(tmp_path, 8)
    strengths = []

    def note(image, strength, seed):
        strengths.append(strength)
        return degraded(image, strength, seed)

    monkeypatch.setattr(precision, "degraded", note)
    monkeypatch.setattr(precision, "can_quantise", lambda: False)
    encoder = open_encoder(encoder_folder)
    engine = create_engine(encoder, "cpu")
    vectors = engine.embed([open_rgb(path) for path in paths])
    sample = precision.ReferenceSample(paths, [path.stem for path in paths], lambda rows: vectors[rows])
    options = EmbeddingOptions(device="cpu", precision="bf16")
    for queries in (8, 24):
        monkeypatch.setattr(precision, "QUERIES", queries)
        strengths.clear()
        chosen = precision.choose_precision(encoder, engine, sample, tmp_path, options)
        assert chosen.queries == queries
        assert sorted(strengths) == sorted([*range(STRENGTHS)] * (queries // STRENGTHS))


def test_degraded_copies_are_reproducible_and_get_worse_with_strength(photographs, tmp_path):
    (path,) = photographs(tmp_path, 1, (200, 150))
    image = open_rgb(path)
    brightness = []
    for strength in range(STRENGTHS):
        copy = degraded(image, strength, 7)
        assert copy.tobytes() == degraded(image, strength, 7).tobytes() != degraded(image, strength, 8).tobytes()
        assert copy.width < image.width and copy.mode == "RGB"
        brightness.append(np.asarray(copy.convert("L"), dtype=float).mean())
    assert brightness == sorted(brightness, reverse=True)
    assert isinstance(image, Image.Image)
