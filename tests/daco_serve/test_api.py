"""Encoders, indexes and recall for a Python program, without a server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import daco_serve
from daco_core.photographs.locations import PhotoLocation, write_locations

from .conftest import served


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> daco_serve.Encoder:
    return daco_serve.Encoder.load(encoder_folder, device="cpu")


@pytest.fixture(scope="module")
def opened(index: Path) -> daco_serve.Index:
    return daco_serve.Index.open(index, device="cpu")


def test_an_encoder_embeds_paths_and_images_identically(encoder: daco_serve.Encoder, photographs: Path) -> None:
    paths = [photographs / f"{number}.png" for number in range(5)]
    vectors = encoder.embed(paths, batch_size=2)
    assert vectors.shape == (5, encoder.dimension) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    images = [Image.open(path) for path in paths]
    np.testing.assert_allclose(encoder.embed(iter(images)), vectors, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(str(paths[3])), vectors[3:4], atol=1e-5)
    assert encoder.embed([]).shape == (0, encoder.dimension)


def test_errors_of_an_encoder_have_a_class_for_each_kind(tmp_path: Path, encoder: daco_serve.Encoder) -> None:
    with pytest.raises(daco_serve.NotFound, match="holds no encoder"):
        daco_serve.Encoder.load(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(daco_serve.UnreadableImage, match=r"broken\.jpg"):
        encoder.embed([tmp_path / "broken.jpg"])
    with pytest.raises(daco_serve.DacoError, match="narrow"):
        encoder.embed(Image.new("RGB", (1000, 4)))


def test_an_index_finds_the_place_of_a_path_or_an_image(
    opened: daco_serve.Index, encoder: daco_serve.Encoder, photographs: Path
) -> None:
    assert (opened.count, opened.generation) == (6, 1)
    matches = opened.search(photographs / "3.png", k=2)
    assert [match.rank for match in matches] == [1, 2] and matches[0].entry.place == "place 3"
    with Image.open(photographs / "3.png") as image:
        assert opened.search(image, k=1)[0].entry == matches[0].entry
    by_vector = opened.search_descriptor(encoder.embed(photographs / "3.png")[0], k=1)
    assert by_vector[0].entry == matches[0].entry
    near = daco_serve.SearchArea(35.0, 139.0, 5)
    assert [match.entry.place for match in opened.search(photographs / "3.png", area=near)] == ["place 0"]
    with pytest.raises(daco_serve.NotFound, match="within 5 m of -35"):
        opened.search(photographs / "3.png", area=daco_serve.SearchArea(-35.0, 139.0, 5))


def test_an_index_looks_up_many_photographs_in_their_order(opened: daco_serve.Index, photographs: Path) -> None:
    paths = [photographs / f"{number % 6}.png" for number in (4, 0, 5, 1, 3)]
    found = opened.search_many(iter(paths), k=2, batch_size=2)
    assert [[match.entry for match in matches] for matches in found] == [
        [match.entry for match in opened.search(path, k=2)] for path in paths
    ]
    near = daco_serve.SearchArea(35.0, 139.0, 5)
    assert [matches[0].entry.place for matches in opened.search_many(paths, 1, near)] == ["place 0"] * 5


def test_many_threads_may_search_an_index(opened: daco_serve.Index, photographs: Path) -> None:
    paths = [photographs / f"{number % 6}.png" for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        places = [matches[0].entry.place for matches in pool.map(opened.search, paths)]
    assert places == [f"place {number % 6}" for number in range(24)]


def test_an_index_localizes_as_a_server_does(index: Path, opened: daco_serve.Index, photographs: Path) -> None:
    estimate = opened.localize(photographs / "2.png")
    assert estimate.verdict == "located" and estimate.location is not None and estimate.best is not None
    with served(index) as (address, _), daco_serve.Client(address) as client:
        answer = client.query(photographs / "2.png")
    assert answer.location is not None
    assert (answer.verdict, answer.place) == (estimate.verdict, estimate.best.entry.place)
    assert answer.probability == estimate.probability
    assert answer.location.latitude == pytest.approx(estimate.location.latitude, abs=1e-6)
    assert answer.location.uncertainty_metres == pytest.approx(estimate.location.uncertainty_metres, abs=0.2)


def test_an_index_is_built_and_opened(encoder_folder: Path, photographs: Path, tmp_path: Path) -> None:
    options = daco_serve.BuildOptions(progress=False, device="cpu", precision="fp32")
    made = daco_serve.Index.build(photographs, tmp_path / "map", encoder_folder, options)
    assert made.count == 6
    assert made.search(photographs / "1.png", k=1)[0].entry.place == "place 1"
    with pytest.raises(daco_serve.NotFound, match="contains no index"):
        daco_serve.Index.open(tmp_path)


def write_walk(folder: Path, numbers: list[int], photographs: Path, first_metres: float = 0.0) -> Path:
    """Copies of some of the photographs, 100 m apart by their number, the whole walk moved to the north."""
    folder.mkdir(parents=True)
    for number in numbers:
        Image.open(photographs / f"{number}.png").save(folder / f"{number}.png")
    north = {number: 35.0 + (100 * number + first_metres) / 111195 for number in numbers}
    write_locations(folder, {f"{number}.png": PhotoLocation(north[number], 139.0) for number in numbers})
    return folder


def test_recall_counts_the_queries_whose_place_is_found(
    encoder: daco_serve.Encoder, photographs: Path, tmp_path: Path
) -> None:
    references = write_walk(tmp_path / "references", [0, 1, 2, 3], photographs)
    queries = write_walk(tmp_path / "queries", [1, 3, 5], photographs, first_metres=10)
    found = daco_serve.evaluate(references, queries, encoder, ranks=(1, 3))
    assert found == daco_serve.Evaluation({1: 1.0, 3: 1.0}, queries=2, references=4, metres=25.0)
    # moved by one place, each is found first where it is not, and nobody but the last has a right reference left
    moved = write_walk(tmp_path / "moved", [0, 1, 2], photographs, first_metres=100)
    found = daco_serve.evaluate(references, moved, encoder, ranks=(1, 4))
    assert found.recall == {1: 0.0, 4: 1.0} and found.queries == 3
    assert daco_serve.evaluate(references, moved, encoder, metres=150, ranks=(1,)).recall == {1: 1.0}


def test_recall_of_an_index_is_that_of_its_encoder(
    opened: daco_serve.Index, encoder: daco_serve.Encoder, photographs: Path
) -> None:
    by_index = daco_serve.evaluate(opened, photographs, metres=15, ranks=(1, 2))
    assert by_index == daco_serve.evaluate(photographs, photographs, encoder, metres=15, ranks=(1, 2))
    assert by_index.recall[1] == 1.0 and by_index.queries == 6


def test_recall_needs_photographs_positions_and_ranks(
    encoder: daco_serve.Encoder, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(daco_serve.NotFound, match="contains no photographs"):
        daco_serve.evaluate(photographs, tmp_path, encoder)
    Image.new("RGB", (80, 60)).save(tmp_path / "nowhere.png")
    with pytest.raises(daco_serve.UsageError, match=r"1 of 1 photographs .* have no position"):
        daco_serve.evaluate(photographs, tmp_path, encoder)
    with pytest.raises(daco_serve.UsageError, match="Ranks must be whole numbers"):
        daco_serve.evaluate(photographs, photographs, encoder, ranks=())
