"""Embedding on Ray, with two workers of this machine."""

from dataclasses import replace

import numpy as np
import pytest

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError
from daco_core.photographs.images import UnreadableImage
from daco_index.build import BuildOptions, build_index
from daco_index.embedding import ray_cluster as distributed
from daco_index.embedding.embed import embed_files
from daco_index.embedding.embedding_cache import EmbeddingCache
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.embedding.ray_cluster import embed_with_ray
from daco_index.generations.change import add_photographs
from daco_index.search.bundle import Bundle

pytestmark = pytest.mark.slow

QUIET = EmbeddingOptions(device="cpu", progress=False)


@pytest.fixture(scope="module")
def two_workers():
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**28)
    yield
    ray.shutdown()


@pytest.fixture
def town(photographs, tmp_path):
    """Photographs of two shapes, more than one shard of them, a copy and a broken one."""
    photographs(tmp_path / "town", 40)
    photographs(tmp_path / "town" / "tall", 9, (72, 96))
    (tmp_path / "town" / "copy.png").write_bytes((tmp_path / "town" / "003.png").read_bytes())
    (tmp_path / "town" / "broken.jpg").write_text("no picture")
    return tmp_path / "town"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    defaults = embed_with_ray.__defaults__
    monkeypatch.setattr(embed_with_ray, "__defaults__", (*defaults[:-1], 16))


def test_an_index_built_with_ray_equals_that_of_a_local_build(two_workers, town, encoder_folder, tmp_path):
    local = build_index(str(town), str(encoder_folder), tmp_path / "local", BuildOptions(progress=False))
    spread = build_index(str(town), str(encoder_folder), tmp_path / "ray", BuildOptions(progress=False, on_ray=True))
    assert spread.unreadable == local.unreadable
    one, other = Bundle.open(tmp_path / "local"), Bundle.open(tmp_path / "ray")
    assert one.catalog.all() == other.catalog.all()
    ids = np.sort(one.store.ids())
    np.testing.assert_array_equal(ids, np.sort(other.store.ids()))
    np.testing.assert_allclose(one.store.vectors(ids), other.store.vectors(ids), atol=1e-6)


def test_indexed_photographs_are_not_embedded_again(two_workers, town, encoder_folder, photographs, tmp_path):
    build_index(str(town / "tall"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    effort = EmbeddingOptions(device="cpu", progress=False, on_ray=True)
    report = add_photographs(tmp_path / "index", str(town), options=effort)
    assert (report.added, report.embedded) == (41, 41)
    assert not add_photographs(tmp_path / "index", str(town), options=effort).published


def test_a_stopped_build_resumes_with_the_remaining_shards(two_workers, town, encoder_folder, tmp_path, monkeypatch):
    paths = sorted(town.rglob("*.png"))
    encoder = open_encoder(encoder_folder)
    whole = embed_files(create_engine(open_encoder(encoder_folder), "cpu"), paths, progress=False)
    known = EmbeddingCache(tmp_path / "notes", encoder.fingerprint, encoder.dimension)
    real = distributed._shards

    def stop(*arguments):
        for number, answer in enumerate(real(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield answer

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distributed, "_shards", stop)
        embed_with_ray(encoder, paths, known, QUIET)
    again = EmbeddingCache(tmp_path / "notes", encoder.fingerprint, encoder.dimension)
    rest = embed_with_ray(encoder, paths, again, QUIET)
    assert 0 < rest.embedded <= len(paths) - 2 * 16 + 2
    np.testing.assert_allclose(rest.vectors[rest.rows], whole.vectors, atol=1e-6)
    assert rest.photographs == whole.photographs


def test_strict_stops_at_a_broken_photograph(two_workers, town, encoder_folder, tmp_path):
    encoder = open_encoder(encoder_folder)
    known = EmbeddingCache(tmp_path / "notes", encoder.fingerprint, encoder.dimension)
    with pytest.raises(UnreadableImage, match=r"broken\.jpg"):
        embed_with_ray(encoder, [town / "000.png", town / "broken.jpg"], known, replace(QUIET, strict=True))


def test_an_unreachable_store_ends_the_build_with_one_sentence(two_workers, encoder_folder, tmp_path):
    encoder = open_encoder(encoder_folder)
    known = EmbeddingCache(tmp_path / "notes", encoder.fingerprint, encoder.dimension)
    with pytest.raises(DacoError, match=r"http://127.0.0.1:9/a.jpg cannot be read: .*onnect") as caught:
        embed_with_ray(encoder, ["http://127.0.0.1:9/a.jpg"], known, QUIET)
    assert "\n" not in str(caught.value)


def test_photographs_come_from_an_object_store_too(two_workers, town, encoder_folder, tmp_path):
    (town / "locations.csv").write_text("file,place,latitude,longitude,heading\n001.png,inn,10,20,350\n")
    build_index(town.as_uri(), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False, on_ray=True))
    entries = Bundle.open(tmp_path / "index").catalog.all()
    assert len(entries) == 50 and all(entry.path.startswith("file://") for entry in entries)
    assert [entry.place for entry in entries if entry.latitude == 10] == ["inn"]
