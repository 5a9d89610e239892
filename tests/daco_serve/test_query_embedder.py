"""Queries are embedded one by one or in batches, depending on the load, with the same result."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daco_core.encoder.preparation import Prepared
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_index.embedding.engines.openvino import OpenVinoEngine
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.search.bundle import Bundle
from daco_serve.engine.query_embedding import QueryEmbedder

from .conftest import hosted
from .test_observing import samples
from .test_refusals import refused


def watched(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that an engine gets from now on."""
    sizes: list[int] = []
    describe = engine.embed_prepared_with_local

    def embed_prepared_with_local(images: Sequence[NDArray[np.float32]]) -> Embedding:
        sizes.append(len(images))
        return describe(images)

    monkeypatch.setattr(engine, "embed_prepared_with_local", embed_prepared_with_local)
    return sizes


def test_a_single_query_uses_all_cores_and_concurrent_queries_share_them(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = query_engine(Bundle.open(index), "cpu")
    many = engine.for_many()
    monkeypatch.setattr(engine, "for_many", lambda: many)
    embedder = QueryEmbedder(engine, 16)
    lone, crowd = watched(engine, monkeypatch), watched(many, monkeypatch)
    query = embedder.prepare(Image.open(photographs / "3.png").convert("RGB"))
    with ExitStack() as others, embedder.at_work():
        (expected,) = embedder.embed([query])
        assert (lone, crowd) == ([1], [])
        for _ in range(many.at_once):
            others.enter_context(embedder.at_work())
        (one_of_many,) = embedder.embed([query])
        assert (lone, crowd) == ([1], [1])
    embedder.embed([query])
    assert (lone, crowd) == ([1, 1], [1])
    pair = embedder.embed([query, query])
    assert (lone, crowd) == ([1, 1], [1, 2])
    for one in (one_of_many, *pair):
        np.testing.assert_allclose(one.descriptors, expected.descriptors, atol=1e-5)


def test_queries_one_after_the_other_use_all_cores_each(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = query_engine(Bundle.open(index), "cpu")
    embedder = QueryEmbedder(engine, 1)
    assert embedder.at_once == 1
    lone = watched(engine, monkeypatch)
    with ExitStack() as others:
        for _ in range(64):
            others.enter_context(embedder.at_work())
        embedder.embed([embedder.prepare(Image.new("RGB", (80, 60)))])
    assert lone == [1]


def test_every_batch_size_is_computed_once_before_the_first_query(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = query_engine(Bundle.open(index), "cpu")
    monkeypatch.setattr(engine, "at_once", 1024, raising=False)
    monkeypatch.setattr(engine, "for_many", lambda: engine)  # as on a GPU
    sizes = watched(engine, monkeypatch)
    assert QueryEmbedder(engine, 12).at_once == 12
    assert sizes == [1, 1, 2, 2, 4, 4, 8, 8, 12, 12]


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_an_encoder_that_returns_nan_makes_the_server_unready_until_it_works_again(
    index: Path, photographs: Path, bad: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (photographs / "3.png").read_bytes()
    ill = threading.Event()
    embed = OpenVinoEngine.embed_prepared_with_local

    def embed_badly(self: OpenVinoEngine, images: Sequence[Prepared]) -> Embedding:
        given = embed(self, images)
        if not ill.is_set():
            return given
        return Embedding(given.descriptors[:0] if bad is None else np.full_like(given.descriptors, bad), given.local)

    monkeypatch.setattr(OpenVinoEngine, "embed_prepared_with_local", embed_badly)
    with hosted(index) as address:
        assert httpx.get(f"{address}/readyz").status_code == 200
        ill.set()
        for _ in range(3):
            refused(httpx.post(f"{address}/v1/query", content=content), 500, "internal_error")
        refused(httpx.get(f"{address}/readyz"), 503, "encoder_failed")
        assert samples(address)['daco_faults_total{part="encoder"}'] >= 3
        ill.clear()
        assert httpx.get(f"{address}/readyz").status_code == 200
        assert httpx.post(f"{address}/v1/query", content=content).status_code == 200
