"""Runs encoders on a CPU with OpenVINO, from their ONNX file."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.encoder.openvino_runtime import openvino
from daco_core.encoder.preparation import Prepared
from daco_core.encoder.stored import LOCAL, StoredEncoder
from daco_core.errors import DamagedEncoder, UsageError
from daco_index.embedding.engines.compiled_cache import compiled
from daco_index.embedding.engines.engine import Embedding
from daco_index.embedding.precision_record import Precision

Goal = Literal["latency", "throughput"]


class OpenVinoEngine:
    """An encoder run by OpenVINO. The backbone computes in the given precision; pooling and norm in float32.

    On a CPU a batch is no faster than its images one by one, so they are run singly: one image on all cores, or, for
    throughput, several images at a time.

    Args:
        encoder: with its ONNX file.
        precision: of the backbone.
        quantised: the backbone in int8, for that precision.
        threads: of this engine; 0 for OpenVINO's default.
        goal: `latency` for queries, `throughput` for many photographs at once.

    Raises:
        UsageError: this CPU or this encoder does not support this precision.
        DamagedEncoder: the ONNX file is damaged.
    """

    def __init__(
        self,
        encoder: StoredEncoder,
        precision: Precision = "fp32",
        quantised: Path | None = None,
        threads: int = 0,
        goal: Goal = "latency",
    ) -> None:
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint
        self.image_size = encoder.config.image_size
        self.description = f"OpenVINO {precision}"
        self.local_grid = encoder.config.local_grid
        self.prepare = encoder.config.preparation.__call__
        if precision == "bf16" and not has_bf16():
            raise UsageError("This CPU does not support bf16: use fp32.")
        if precision == "int8" and quantised is None:
            raise UsageError("This index has no int8 form of its encoder: build it with --precision int8.")
        assert encoder.network is not None
        # the key includes image size and output: the same file with others makes another compiled network
        network = f"{encoder.network.sha256} {encoder.fingerprint}"
        # without this hint OpenVINO uses bf16 if the CPU supports it, whether that is faster or not
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": goal.upper(),
            "INFERENCE_NUM_THREADS": threads,
        }
        self._unscaled = not encoder.has_weights  # third-party networks may return vectors of any length
        self._pooling = None  # a separate network if the backbone computes in less than float32
        if precision == "fp32":
            self._compiled = compiled(f"{network} whole", lambda: whole_model(encoder), settings)
        else:
            exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
            self._pooling = openvino.Core().compile_model(pooling_model(encoder), "CPU", exact)
            if precision == "int8":
                self._compiled = openvino.Core().compile_model(_read_int8(quantised), "CPU", settings)
            else:
                self._compiled = compiled(f"{network} backbone", lambda: backbone_model(encoder), settings)
        self.at_once: int = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._own = threading.local()
        self._form = (encoder, precision, quantised, threads)
        self._is_for_many = goal == "throughput" or threads == 1  # with one thread both goals are the same

    def embed_prepared(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        return self._embed(images, None)

    def embed_prepared_with_local(self, images: Sequence[Prepared]) -> Embedding:
        if self.local_grid is None:
            return Embedding(self.embed_prepared(images), None)
        local: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)
        return Embedding(self._embed(images, local), np.stack(local))

    def for_many(self) -> "OpenVinoEngine":
        return self if self._is_for_many else OpenVinoEngine(*self._form, goal="throughput")

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.embed_prepared([self.prepare(image) for image in images])

    def _embed(self, images: Sequence[Prepared], local: list[NDArray[np.float32]] | None) -> NDArray[np.float32]:
        """The descriptors; the local descriptors, (cells, 64) for each image, are appended to `local`."""
        descriptors = np.empty((len(images), self.dimension), dtype=np.float32)
        requests = self._requests()

        def finish(row: int) -> None:
            request = requests[row % len(requests)]
            request.wait()
            if self._pooling is not None:
                maps = [request.get_output_tensor(number) for number in range(len(self._compiled.outputs))]
                request = self._own.pooling
                request.infer(maps)
            descriptors[row] = request.get_output_tensor(0).data
            if self._unscaled:
                descriptors[row] /= np.linalg.norm(descriptors[row])
            if local is not None:
                local[row] = request.get_output_tensor(1).data[0].copy()

        for row, image in enumerate(images):
            if row >= len(requests):
                finish(row - len(requests))
            requests[row % len(requests)].start_async([image[None]])
        for row in range(max(0, len(images) - len(requests)), len(images)):
            finish(row)
        return descriptors

    def _requests(self) -> list[Any]:
        """The parallel requests of this thread; requests must not be shared, because they hold the results."""
        if not hasattr(self._own, "requests"):
            self._own.requests = [self._compiled.create_infer_request() for _ in range(self.at_once)]
            self._own.pooling = self._pooling.create_infer_request() if self._pooling else None
        requests: list[Any] = self._own.requests
        return requests


def has_bf16() -> bool:
    """Whether OpenVINO reports that this CPU supports bf16."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def whole_model(encoder: StoredEncoder) -> Any:
    """An encoder as an OpenVINO model: (1, 3, h, w) to its descriptor and its local descriptors, if any.

    Raises:
        DamagedEncoder: the ONNX file is damaged.
    """
    model = _read(encoder)
    return openvino.Model([model.output(name).node for name in _outputs(encoder)], model.get_parameters())


def backbone_model(encoder: StoredEncoder) -> Any:
    """An encoder without its pooling: (1, 3, h, w) to the feature maps (1, c, h', w') that the pooling takes.

    Raises:
        DamagedEncoder: the ONNX file is damaged.
        UsageError: the file does not say where its pooling begins.
    """
    model = _read(encoder)
    return openvino.Model([model.output(name).node for name in _maps(encoder)], model.get_parameters())


def pooling_model(encoder: StoredEncoder) -> Any:
    """The rest of `whole_model`: from the maps of `backbone_model` to the descriptor, in float32.

    The powers of GeM pooling lose much in a lower precision. Raises the same errors as `backbone_model`.
    """
    model, names = _read(encoder), _maps(encoder)
    inputs = []
    for name in names:
        source = model.output(name).node.input_value(0)
        given = openvino.op.Parameter(source.element_type, source.partial_shape)
        while source is not None:
            for target in source.get_target_inputs():
                target.replace_source_output(given.output(0))
            source = _unconverted(source)
        inputs.append(given)
    return openvino.Model([model.output(name).node for name in _outputs(encoder)], inputs)


def _unconverted(output: Any) -> Any | None:
    """The input of a conversion to the type that it already has, which exporters insert; None for other outputs."""
    if output.get_node().get_type_name() != "Convert":
        return None
    source = output.get_node().input_value(0)
    return source if source.element_type == output.element_type else None


def _outputs(encoder: StoredEncoder) -> list[str]:
    """The names of the descriptor and, if any, of the local descriptors."""
    assert encoder.network is not None
    return [encoder.network.output, *([LOCAL] if encoder.config.local_grid else [])]


def _maps(encoder: StoredEncoder) -> tuple[str, ...]:
    if encoder.network is None or not encoder.network.maps:
        raise UsageError(f"{encoder.name} is a third-party network, which supports fp32 only.")
    return encoder.network.maps


def _read_int8(file: Path | None) -> Any:
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # with mmap, the process would crash if somebody truncated the file
    return core.read_model(file)


def _read(encoder: StoredEncoder) -> Any:
    content = encoder.read_network()
    try:
        model = openvino.Core().read_model(content)
        side = encoder.config.image_size if encoder.config.resize == "square" else -1
        model.reshape(openvino.PartialShape([1, 3, side, side]))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DamagedEncoder(f"OpenVINO cannot read the network of {encoder.folder}: {reason}") from error
    return model
