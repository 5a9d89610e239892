"""Building an index and finding photographs in it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, DamagedEncoder
from daco_core.photographs.images import UnreadableImage, open_rgb
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.embed import embed_files
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.openvino import OpenVinoEngine
from daco_index.search.bundle import Bundle, read_manifest
from daco_index.search.stores.faiss import FaissStore


@pytest.fixture(scope="module")
def bundle(built):
    return Bundle.open(built[1])


@pytest.fixture(scope="module")
def vectors(bundle, built):
    return create_engine(bundle.encoder, "cpu").embed([open_rgb(path) for path in sorted(built[0].iterdir())])


def test_every_photograph_finds_itself_first_with_similarity_one(bundle, vectors, built):
    answers = bundle.search(vectors, 1)
    assert [answer[0].entry.path for answer in answers] == [str(path) for path in sorted(built[0].iterdir())]
    assert all(0.9999 < answer[0].similarity <= 1.0 for answer in answers)


def test_matches_are_ordered_as_by_an_exhaustive_comparison(bundle, vectors):
    expected = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")
    for row, answer in enumerate(bundle.search(vectors, 12)):
        assert [match.entry.id for match in answer] == expected[row].tolist()
        assert [match.rank for match in answer] == list(range(1, 13))
        similarities = [match.similarity for match in answer]
        assert similarities == sorted(similarities, reverse=True)


@pytest.mark.parametrize(("k", "expected"), [(1, 1), (5, 5), (12, 12), (1000, 12)])
def test_a_search_returns_k_matches_or_all_that_there_are(bundle, vectors, k, expected):
    assert [len(answer) for answer in bundle.search(vectors[:3], k)] == [expected] * 3


def test_descriptors_of_another_length_are_rejected(bundle):
    with pytest.raises(DacoError, match="index of descriptors with 96 numbers"):
        bundle.search(np.zeros((1, 7), dtype=np.float32), 1)


def test_a_match_without_a_catalogue_entry_is_an_error(bundle, vectors):
    one_more = FaissStore.create(bundle.store.dimension)
    one_more.add(np.vstack([vectors[:1], vectors]), np.arange(len(vectors) + 1))
    with pytest.raises(DacoError, match="not in the catalogue"):
        replace(bundle, store=one_more).search(vectors[-1:], 1)


def test_concurrent_searches_get_the_answers_of_a_single_one(bundle, vectors):
    alone = [bundle.search(vectors[row : row + 1], 4)[0] for row in range(len(vectors))]
    with ThreadPoolExecutor(16) as pool:
        rows = [number % len(vectors) for number in range(600)]
        together = list(pool.map(lambda row: bundle.search(vectors[row : row + 1], 4)[0], rows))
    assert together == [alone[row] for row in rows]


def test_the_manifest_describes_the_build(built, encoder_folder):
    folder = built[1] / "generations" / "1"
    content = json.loads((folder / "manifest.json").read_text())
    encoder = open_encoder(encoder_folder)
    assert content["format_version"] == 4
    assert content["generation"] == 1
    assert content["count"] == 12
    assert content["dimension"] == encoder.dimension
    assert content["index"] == "Flat"
    assert content["source"] == str(built[0])
    assert content["encoder_fingerprint"] == encoder.fingerprint
    assert content["with_location"] == 0
    assert content["bounds"] is None
    assert datetime.fromisoformat(content["created"]).utcoffset() == UTC.utcoffset(None)
    assert set(content["files"]) == {
        "vectors.faiss",
        "catalog.sqlite",
        "encoder/encoder.json",
        "encoder/model.onnx",
        "encoder/model.safetensors",
    }
    assert all((folder / name).stat().st_size == record["bytes"] for name, record in content["files"].items())


def test_positions_are_stored_in_the_catalogue_and_in_the_bounds(encoder_folder, photographs, tmp_path):
    photographs(tmp_path / "map", 3)
    (tmp_path / "map" / "locations.csv").write_text(
        "file,place,latitude,longitude,heading\n000.png,inn,10,20,350\n002.png,,-5.5,30,\n"
    )
    manifest = build_index(
        str(tmp_path / "map"), str(encoder_folder), tmp_path / "index", BuildOptions(device="cpu", progress=False)
    ).manifest
    assert manifest.with_location == 2
    assert manifest.bounds is not None
    assert (manifest.bounds.south, manifest.bounds.west) == (-5.5, 20)
    assert (manifest.bounds.north, manifest.bounds.east) == (10, 30)
    entries = Bundle.open(tmp_path / "index").catalog.all()
    assert [(e.place, e.latitude, e.longitude, e.heading) for e in entries] == [
        ("inn", 10, 20, 350),
        ("001", None, None, None),
        ("002", -5.5, 30, None),
    ]


@pytest.fixture
def with_broken(photographs, tmp_path) -> Path:
    folder = tmp_path / "photographs"
    photographs(folder, 4)
    whole = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "letter.jpg").write_text("not a picture")
    return folder


def test_unreadable_photographs_are_named_and_skipped(with_broken, encoder_folder, tmp_path, capsys):
    report = build_index(str(with_broken), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    assert set(report.unreadable) == {str(with_broken / "001.png"), str(with_broken / "letter.jpg")}
    said = capsys.readouterr().err
    assert str(with_broken / "001.png") in said
    assert str(with_broken / "letter.jpg") in said
    bundle = Bundle.open(tmp_path / "index")
    assert [Path(entry.path).name for entry in bundle.catalog.all()] == ["000.png", "002.png", "003.png"]
    vector = create_engine(bundle.encoder, "cpu").embed([open_rgb(with_broken / "003.png")])
    assert bundle.search(vector, 1)[0][0].entry.path == str(with_broken / "003.png")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_encoder_that_returns_nan_fails_at_its_first_batch(
    photographs, encoder_folder, tmp_path, monkeypatch, number
):
    photographs(tmp_path / "p", 6)
    batches = []

    def broken(self, images, *_):
        batches.append(len(images))
        return np.full((len(images), self.dimension), number, dtype=np.float32)

    monkeypatch.setattr(OpenVinoEngine, "embed_prepared", broken)
    options = BuildOptions(progress=False, device="cpu", batch_size=2)
    with pytest.raises(DamagedEncoder, match="not finite"):
        build_index(str(tmp_path / "p"), str(encoder_folder), tmp_path / "index", options)
    assert len(batches) == 1
    assert not list((tmp_path / "index" / "generations").rglob("*.descriptors")), "they are taken up by the next build"


def test_strict_stops_at_an_unreadable_photograph_and_publishes_nothing(with_broken, encoder_folder, tmp_path):
    with pytest.raises(UnreadableImage, match=r"001\.png"):
        build_index(
            str(with_broken), str(encoder_folder), tmp_path / "index", BuildOptions(strict=True, progress=False)
        )
    with pytest.raises(DacoError, match="contains no index"):
        read_manifest(tmp_path / "index")


def test_a_folder_without_a_readable_photograph_is_an_error(encoder_folder, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.jpg").write_text("not a picture")
    with pytest.raises(DacoError, match=r"No photograph in .* can be read"):
        build_index(str(tmp_path / "letters"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))


def test_photographs_of_many_shapes_keep_the_order_of_the_list(encoder_folder, photographs, tmp_path):
    shapes = [(96, 72), (72, 96), (80, 80), (120, 64)]
    lists = [photographs(tmp_path / str(number), 7, size) for number, size in enumerate(shapes)]
    paths = [path for group in zip(*lists, strict=True) for path in group]
    engine = create_engine(open_encoder(encoder_folder), "cpu")
    embedded = embed_files(engine, paths, batch_size=3, workers=4, progress=False)
    one_by_one = np.concatenate([engine.embed([open_rgb(path)]) for path in paths])
    assert embedded.kept == list(range(28))
    assert [(photo.width, photo.height) for photo in embedded.photographs] == shapes * 7
    np.testing.assert_allclose(embedded.vectors, one_by_one, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embedded.vectors, axis=1), 1, atol=1e-5)


def test_a_picture_that_is_too_narrow_to_resize_is_skipped(encoder_folder, photographs, tmp_path):
    thread, picture = photographs(tmp_path / "a", 1, (1, 60000))[0], photographs(tmp_path / "b", 1)[0]
    engine = create_engine(open_encoder(encoder_folder), "cpu")
    embedded = embed_files(engine, [thread, picture], progress=False)
    assert embedded.kept == [1]
    assert "too narrow" in str(embedded.unreadable[0])


def test_a_small_index_is_searched_on_a_gpu_only_by_request(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[FaissStore] = []
    monkeypatch.setattr("daco_index.search.bundle.wanted", lambda gpu: gpu != "off")
    monkeypatch.setattr(FaissStore, "move_to_gpu", lambda store: asked.append(store))
    Bundle.open(built[1], gpu="auto")
    assert not asked
    with pytest.raises(DacoError, match="--gpu on"):
        Bundle.open(built[1], gpu="on")
    monkeypatch.setattr("daco_index.search.index_choice.EXACT_NUMBERS", 1)
    Bundle.open(built[1], gpu="auto")
    assert len(asked) == 2
