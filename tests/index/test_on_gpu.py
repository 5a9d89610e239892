"""A GPU computes and finds the same as a CPU, sequentially and concurrently."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from daco_index.embedding.engines.pytorch import TorchEngine
from daco_index.search.index_choice import EXACT
from daco_index.search.stores.faiss import FaissStore
from daco_index.search.stores.gpu import wanted
from daco_index.search.tuning import recall_of

from .pictures import cosines, encoder, pictures
from .test_store import draw, share_found

pytestmark = pytest.mark.gpu

needs_torch = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
needs_faiss = pytest.mark.skipif(not wanted("auto"), reason="FAISS sees no GPU")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return draw(1000)


def engine(device: str, precision: str = "fp32", graphs: bool = False) -> TorchEngine:
    return TorchEngine(encoder(), torch.device(device), precision, graphs)


@needs_torch
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_descriptors_with_and_without_cuda_graphs_agree_with_those_of_a_cpu(precision: str) -> None:
    expected = engine("cpu").embed(pictures())
    for graphs in (False, True):
        on_gpu = engine("cuda", precision, graphs)
        for count in (1, 2, 3, 4, 4, 5, 5, 1):  # a shape is recorded when it comes again
            rows = on_gpu.embed([pictures()[0]] * count)
            assert cosines(rows, np.repeat(expected[:1], count, axis=0)).min() > 0.995
        mixed = [on_gpu.embed(pictures()) for _ in range(3)]
        assert all(cosines(rows, expected).min() > 0.995 for rows in mixed)
        np.testing.assert_allclose(mixed[0], mixed[2], atol=2e-2)


@needs_torch
def test_threads_that_share_cuda_graphs_get_their_own_descriptors() -> None:
    expected = engine("cpu").embed(pictures())
    on_gpu = engine("cuda", graphs=True)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda turn: on_gpu.embed([pictures()[turn % len(expected)]])[0], range(200)))
    assert cosines(np.stack(rows), np.tile(expected, (40, 1))).min() > 0.995


@needs_faiss
@pytest.mark.parametrize("factory", [EXACT, "IVF8,Flat", "IVF8,PQ8", "PCAR12,IVF8,PQ4"])
def test_concurrent_searches_on_a_gpu_give_the_matches_of_a_cpu(factory: str, vectors: np.ndarray) -> None:
    store = FaissStore.create(16)
    store.add(vectors, np.arange(1000))
    store.arrange(factory, gpu=True)
    store.tune({} if factory == EXACT else {"nprobe": 8, "k_factor": 20})
    before = store.search(vectors[:64], 10)[1]
    assert store.move_to_gpu()
    with ThreadPoolExecutor(8) as pool:
        for _, ids in pool.map(lambda _: store.search(vectors[:64], 10), range(32)):
            assert recall_of(ids, before) > 0.95
    store.remove(np.arange(10))
    assert store.search(vectors[10:20], 1)[1][:, 0].tolist() == list(range(10, 20))


@needs_faiss
def test_an_index_type_that_a_gpu_lacks_stays_on_the_cpu(vectors: np.ndarray) -> None:
    store = FaissStore.create(16)
    store.add(vectors, np.arange(1000))
    store.arrange("IVF8,PQ8x4fs")
    assert not store.move_to_gpu()
    assert share_found(store, vectors[:50]) > 0
