"""Encoders on a CPU, by OpenVINO."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from daco_core.encoder.preparation import Prepared
from daco_core.errors import UsageError
from daco_index.embedding.engines.engine import Embedding
from daco_index.embedding.engines.export import exported_backbone
from daco_index.embedding.engines.openvino_runtime import openvino
from daco_index.embedding.precision_record import Precision
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling

Goal = Literal["latency", "throughput"]


class OpenVinoEngine:
    """An encoder on OpenVINO. The backbone computes in the precision asked for; pooling and norm in float32.

    On a CPU a batch is no faster than its images one by one, so that is how they go: all cores on one image, or, for
    throughput, several images at a time.

    Args:
        precision: of the backbone.
        quantised: the backbone in int8, for that precision.
        threads: of this engine; 0 for OpenVINO's choice.
        goal: `latency` for queries, `throughput` for many photographs at once.

    Raises:
        NotExportable: OpenVINO cannot run the encoder as PyTorch does.
        DacoError: this CPU does not compute in this precision.
    """

    def __init__(
        self,
        encoder: Encoder,
        precision: Precision = "fp32",
        quantised: Path | None = None,
        threads: int = 0,
        goal: Goal = "latency",
    ) -> None:
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint
        self.image_size = encoder.config.image_size
        self.description = f"OpenVINO {precision}"
        self.local_grid = encoder.local_grid
        self._encoder = encoder.eval()
        core = openvino.Core()
        if precision == "bf16" and not has_bf16():
            raise UsageError("This CPU does not compute in bf16: use fp32.")
        if precision == "int8":
            if quantised is None:
                raise UsageError("This index has no int8 form of its encoder: build it with --precision int8.")
            model = core.read_model(quantised)
        else:
            model = exported_backbone(encoder)
        # without the hint OpenVINO takes bf16 where it can, faster or not
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": goal.upper(),
            "INFERENCE_NUM_THREADS": threads,
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        self.at_once: int = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._own = threading.local()
        self._form = (encoder, precision, quantised, threads)
        self._is_for_many = goal == "throughput" or threads == 1  # one thread has nothing to share

    def prepare(self, image: Image.Image) -> Prepared:
        return self._encoder.preparation(image)

    def embed_prepared(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        return self._embed(images, None)

    def embed_prepared_with_local(self, images: Sequence[Prepared]) -> Embedding:
        local = None
        if self.local_grid is not None:
            cells = self.local_grid[0] * self.local_grid[1]
            local = np.empty((len(images), cells, GridPooling.cell_width), dtype=np.float32)
        return Embedding(self._embed(images, local), local)

    @torch.inference_mode()
    def _embed(self, images: Sequence[Prepared], local: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """The descriptors; those of the cells are written into `local`."""
        pooling = self._encoder.pooling
        descriptors = np.empty((len(images), self.dimension), dtype=np.float32)
        requests = self._requests()

        def finish(row: int) -> None:
            request = requests[row % len(requests)]
            request.wait()
            outputs = range(pooling.levels)
            maps = [torch.from_numpy(request.get_output_tensor(output).data) for output in outputs]
            descriptors[row] = functional.normalize(pooling(maps), dim=-1)[0].numpy()
            if local is not None and isinstance(pooling, GridPooling):
                local[row] = pooling.local(maps)[0].numpy()

        for row, image in enumerate(images):
            if row >= len(requests):
                finish(row - len(requests))
            requests[row % len(requests)].start_async([image[None]])
        for row in range(max(0, len(images) - len(requests)), len(images)):
            finish(row)
        return descriptors

    def for_many(self) -> "OpenVinoEngine":
        return self if self._is_for_many else OpenVinoEngine(*self._form, goal="throughput")

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.embed_prepared([self.prepare(image) for image in images])

    def _requests(self) -> list[Any]:
        """As many as run at a time; this thread's own, as what they compute in must not be shared."""
        if not hasattr(self._own, "requests"):
            self._own.requests = [self._compiled.create_infer_request() for _ in range(self.at_once)]
        requests: list[Any] = self._own.requests
        return requests


def has_bf16() -> bool:
    """Whether OpenVINO says of this CPU that it computes in bf16."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
