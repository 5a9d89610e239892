"""Every engine computes the encoder's descriptors, on every device and in every precision."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from daco_core.encoder.cache import cache_folder
from daco_core.encoder.openvino_runtime import openvino
from daco_core.encoder.stored import StoredEncoder, open_encoder
from daco_core.errors import DacoError, UsageError
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.openvino import OpenVinoEngine, backbone_model, has_bf16, pooling_model
from daco_index.embedding.engines.pytorch import TorchEngine
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.onnx_export import NotExportable, export_onnx

from .pictures import cosines, encoder, pictures, stored


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return TorchEngine(encoder(), torch.device("cpu")).embed(pictures())


@pytest.mark.parametrize("goal", ["latency", "throughput"])
def test_openvino_and_pytorch_give_the_same_descriptors_for_every_shape(expected: np.ndarray, goal: str) -> None:
    engine = create_engine(stored(encoder()), "cpu", goal=goal)
    assert engine.description == "OpenVINO fp32"
    np.testing.assert_allclose(engine.embed(pictures()), expected, atol=1e-5)
    one_by_one = np.concatenate([engine.embed([picture]) for picture in pictures()])
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)


def test_the_variant_for_many_photographs_is_the_same_encoder(expected: np.ndarray) -> None:
    for engine in (create_engine(stored(encoder()), "cpu"), TorchEngine(encoder(), torch.device("cpu"))):
        many = engine.for_many()
        assert many.for_many() is many
        assert many.fingerprint == engine.fingerprint and many.description == engine.description
        np.testing.assert_allclose(many.embed(pictures()), expected, atol=1e-5)
    single = create_engine(stored(encoder()), "cpu", threads=1)
    assert single.for_many() is single


def test_every_engine_computes_the_local_descriptors_of_a_grid() -> None:
    one = encoder("test_resnet", "grid", resize="square")
    images = [one.preparation(picture) for picture in pictures()]
    with torch.inference_mode():
        fine = one.feature_maps(torch.from_numpy(np.stack(images)))[0]
        cells = functional.normalize(fine.flatten(2).transpose(1, 2), dim=2)
        wanted = functional.normalize(one.pooling.reduce[0](cells), dim=2).numpy()
    for engine in (create_engine(stored(one), "cpu"), TorchEngine(one, torch.device("cpu"))):
        assert engine.local_grid == (4, 4)
        embedding = engine.embed_prepared_with_local(images)
        np.testing.assert_allclose(embedding.local, wanted, atol=1e-4)
        np.testing.assert_allclose(embedding.descriptors, engine.embed_prepared(images), atol=1e-6)


@pytest.mark.parametrize(("pooling", "resize"), [("gem", "square"), ("grid", "shorter")])
def test_an_encoder_without_a_fixed_grid_has_no_local_descriptors(pooling: str, resize: str) -> None:
    engine = create_engine(stored(encoder("test_resnet", pooling, resize=resize)), "cpu")
    assert engine.local_grid is None
    embedding = engine.embed_prepared_with_local([engine.prepare(pictures()[0])])
    assert embedding.local is None and embedding.descriptors.shape == (1, engine.dimension)


@pytest.mark.parametrize("pooling", ["gem", "grid", "place"])
def test_lower_precisions_keep_pooling_and_normalisation_in_fp32(pooling: str) -> None:
    one = encoder("test_resnet", pooling, resize="square")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    parts = (backbone_model(stored(one)), pooling_model(stored(one)))
    model, rest = (openvino.Core().compile_model(part, "CPU", exact) for part in parts)
    image = one.preparation(pictures()[0])[None]
    with torch.inference_mode():
        maps = one.feature_maps(torch.from_numpy(image))
        got = model(image)
        for number, level in enumerate(maps):
            np.testing.assert_allclose(got[number], level, atol=1e-3)
        outputs = rest([level.numpy() for level in maps])
        np.testing.assert_allclose(outputs["descriptor"], one(torch.from_numpy(image)), atol=1e-5)
        if pooling != "gem":
            np.testing.assert_allclose(outputs["local"], one.pooling.local(maps), atol=1e-5)


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")
def test_descriptors_in_bf16_are_comparable_with_fp32(expected: np.ndarray) -> None:
    engine = create_engine(stored(encoder()), "cpu", "bf16")
    assert engine.description == "OpenVINO bf16"
    rows = engine.embed(pictures())
    assert cosines(rows, expected).min() > 0.995
    assert not np.allclose(rows, expected, atol=1e-6), "it was computed in something less than fp32"


def test_threads_that_share_an_engine_get_their_own_descriptors(expected: np.ndarray) -> None:
    engine = create_engine(stored(encoder()), "cpu")
    tensors = [engine.prepare(picture) for picture in pictures()]
    rows = [number % len(tensors) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda row: engine.embed_prepared([tensors[row]])[0], rows))
        pairs = list(pool.map(lambda row: engine.embed_prepared([tensors[row], tensors[0]])[0], rows))
    np.testing.assert_allclose(together, expected[rows], atol=1e-5)
    np.testing.assert_allclose(pairs, expected[rows], atol=1e-5)


@pytest.fixture
def of_before(tmp_path: Path) -> StoredEncoder:
    """An encoder that was saved before there were ONNX files."""
    encoder().save(tmp_path / "of_before", network=False)
    return open_encoder(tmp_path / "of_before")


def converted(cache: Path) -> list[Path]:
    return sorted((cache / "encoders").glob("[!.]*"))


def test_an_encoder_without_an_onnx_file_is_converted_once_and_a_damaged_conversion_is_made_again(
    expected: np.ndarray, of_before: StoredEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    create_engine(of_before, "cpu")
    (folder,) = converted(tmp_path / "cache")
    network = folder / "model.onnx"
    assert of_before.fingerprint in folder.name
    made = network.stat().st_mtime_ns
    create_engine(of_before, "cpu")
    assert network.stat().st_mtime_ns == made
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 0xFF
    network.write_bytes(content)
    np.testing.assert_allclose(create_engine(of_before, "cpu").embed(pictures()), expected, atol=1e-5)
    assert converted(tmp_path / "cache") == [folder], "nothing else is left there"
    assert network.read_bytes() != bytes(content)


def test_an_encoder_is_converted_without_a_writable_cache(
    expected: np.ndarray, of_before: StoredEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "file"))
    np.testing.assert_allclose(create_engine(of_before, "cpu").embed(pictures()), expected, atol=1e-5)


def test_processes_that_convert_one_encoder_at_once_leave_one_complete_conversion(
    expected: np.ndarray, of_before: StoredEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    code = (
        "import os, sys; from pathlib import Path; from daco_core.encoder.stored import open_encoder\n"
        "import daco_index.embedding.engines.pytorch\n"
        "from daco_index.embedding.encoders import with_network\n"
        "if (other := os.fork()) == 0:\n"  # so that both have done the imports, and begin together
        "    sys.exit(not with_network(open_encoder(Path(sys.argv[1]))).network)\n"
        "assert with_network(open_encoder(Path(sys.argv[1]))).network\n"
        "assert os.waitpid(other, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code, str(of_before.folder)], timeout=240, check=True)
    assert len(converted(cache_folder())) == len(list((cache_folder() / "encoders").iterdir())) == 1
    np.testing.assert_allclose(create_engine(of_before, "cpu").embed(pictures()), expected, atol=1e-5)


def test_a_network_that_differs_between_onnx_and_pytorch_is_not_exported() -> None:
    odd = encoder()
    features = odd.backbone.forward_features
    # a choice that depends on the shape, of which tracing sees one side only
    odd.backbone.forward_features = lambda images: features(images).flip(1 if images.shape[2] > images.shape[3] else 0)
    with pytest.raises(NotExportable, match="differs from PyTorch"):
        export_onnx(odd)


def test_an_encoder_that_onnx_cannot_express_runs_in_pytorch_with_a_warning(
    expected: np.ndarray, of_before: StoredEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Encoder) -> None:
        raise NotExportable("test_resnet has no form in ONNX: a test says so.")

    monkeypatch.setenv("DACO_CACHE", str(of_before.folder.parent / "cache"))
    monkeypatch.setattr("daco_training.encoder.onnx_export.export_onnx", fail)
    # whatever else in this process has set up the logging
    logger = logging.getLogger("daco_index.embedding.engines.create")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    caplog.set_level(logging.WARNING, logger.name)
    engine = create_engine(of_before, "cpu")
    assert engine.description == "PyTorch fp32 on cpu"
    assert "using PyTorch instead" in caplog.text
    with pytest.raises(UsageError, match="does not support bf16"):
        create_engine(of_before, "cpu", "bf16")
    np.testing.assert_allclose(engine.embed(pictures()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "pooling", "resize"),
    [
        ("test_resnet", "avg", "shorter"),
        ("test_resnet", "grid", "shorter"),
        ("test_efficientnet", "gem", "square"),
        ("test_efficientnet", "avg", "shorter"),
        ("test_vit", "avg", "shorter"),
        ("test_vit", "gem", "square"),
        ("mobilenetv3_small_050", "grid", "square"),
        ("test_resnet", "place", "square"),
    ],
)
def test_openvino_and_pytorch_agree_for_every_pooling_and_family(backbone: str, pooling: str, resize: str) -> None:
    other = encoder(backbone, pooling, resize=resize)
    expected = TorchEngine(other, torch.device("cpu")).embed(pictures())
    engine = create_engine(stored(other), "cpu")
    assert engine.description == "OpenVINO fp32"
    np.testing.assert_allclose(engine.embed(pictures()), expected, atol=1e-4)


def test_a_network_is_compiled_once_and_again_if_the_cached_one_is_damaged(
    expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stored(encoder())
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    first = OpenVinoEngine(one).embed(pictures())
    (kept,) = (tmp_path / "cache" / "compiled").iterdir()
    whole = kept.read_bytes()
    built: list[int] = []
    monkeypatch.setattr("daco_index.embedding.engines.openvino.whole_model", lambda encoder: built.append(1))
    again = OpenVinoEngine(one)
    np.testing.assert_array_equal(again.embed(pictures()), first)
    assert again.at_once == 1 and not built
    monkeypatch.undo()
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "cache"))
    kept.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_allclose(OpenVinoEngine(one).embed(pictures()), expected, atol=1e-5)
    assert len(kept.read_bytes()) > 0.9 * len(whole), "it was made again"
    other = OpenVinoEngine(one, goal="throughput")
    np.testing.assert_allclose(other.embed(pictures()), expected, atol=1e-5)
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 2
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DACO_CACHE", str(tmp_path / "file"))
    np.testing.assert_allclose(OpenVinoEngine(one).embed(pictures()), expected, atol=1e-5)


def test_openvino_sends_no_usage_statistics() -> None:
    code = "import daco_core.encoder.openvino_runtime, sys; assert sys.modules['openvino_telemetry'] is None"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_a_precision_that_a_device_lacks_is_reported_in_one_sentence() -> None:
    with pytest.raises(DacoError, match="--precision int8"):
        create_engine(stored(encoder()), "cpu", "int8")
    with pytest.raises(DacoError, match="does not support bf16"):
        TorchEngine(encoder(), torch.device("cpu"), "bf16")
