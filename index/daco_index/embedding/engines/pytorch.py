"""Encoders on PyTorch: on a GPU, and on a CPU those that OpenVINO cannot run."""

import threading
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from daco_core.errors import DacoError
from daco_index.embedding.engines.cuda_graphs import Recordings, Run
from daco_index.embedding.engines.engine import prepare
from daco_index.embedding.precision_record import Precision
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.descriptors import describe

MOST_AT_ONCE = 1024  # on a GPU; a CPU takes no less for two images than twice what it takes for one


class TorchEngine:
    """An encoder on PyTorch. It takes the encoder over: moves it to its device and lays its weights out for it.

    Args:
        device: the GPU or CPU.
        precision: fp32, or bf16 by autocast.
        graphs: on a GPU, replay a recording of the whole network for each shape and size of batch, which spares the
            CPU the launch of its hundreds of steps.

    Raises:
        DacoError: the device does not compute in this precision.
    """

    def __init__(
        self, encoder: Encoder, device: torch.device, precision: Precision = "fp32", graphs: bool = False
    ) -> None:
        if precision == "int8":
            raise DacoError("PyTorch does not compute in int8: take --device cpu, or another --precision.")
        on_gpu = device.type == "cuda"
        if precision == "bf16" and not (on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)):
            raise DacoError(f"{device} does not compute in bf16 with PyTorch: use fp32.")
        self.device = device
        self.at_once = MOST_AT_ONCE if on_gpu else 1
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint
        self.image_size = encoder.config.image_size
        self.description = f"PyTorch {precision} on {device}"
        self._encoder = encoder.eval().to(self.device).to(memory_format=encoder.memory_format)
        # cast weights are not cached, as a recording would not notice when the cache lets them go
        self._autocast = torch.autocast(device.type, torch.bfloat16, precision == "bf16", cache_enabled=False)
        self._run: Run = (
            Recordings(self._describe, device, encoder.memory_format) if graphs and on_gpu else self._describe
        )
        self._alone = threading.Lock()  # a recording's input and output are one place in memory

    def prepare(self, image: Image.Image) -> Tensor:
        return prepare(self._encoder, image)

    def embed_prepared(self, tensors: Sequence[Tensor]) -> NDArray[np.float32]:
        try:
            with self._alone:
                vectors: NDArray[np.float32] = describe(self._encoder, tensors, self._run).numpy()
        except torch.OutOfMemoryError as error:
            shape = " x ".join(str(side) for side in tensors[0].shape)
            raise DacoError(
                f"{len(tensors)} images of {shape} do not fit into {self.device}: use a smaller batch."
            ) from error
        return vectors

    def for_many(self) -> "TorchEngine":
        return self

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.embed_prepared([self.prepare(image) for image in images])

    def _describe(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, dimension), both on the device; pooling and norm in float32."""
        with self._autocast:
            maps = [level.float() for level in self._encoder.feature_maps(images)]
        return functional.normalize(self._encoder.pooling(maps), dim=-1)
