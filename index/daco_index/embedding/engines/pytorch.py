"""Runs encoders with PyTorch: on a GPU, and on a CPU if they cannot be exported to ONNX.

The only module of the index that imports PyTorch and `daco_training`; `daco_index.embedding.encoders.pytorch` imports
it on demand.
"""

import atexit
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daco_core.encoder.cache import kept_folder
from daco_core.encoder.preparation import Prepared, Resize
from daco_core.encoder.stored import StoredEncoder, open_encoder
from daco_core.errors import DacoError, UsageError
from daco_index.embedding.engines.cuda_graphs import Recordings, Run
from daco_index.embedding.engines.engine import Embedding
from daco_index.embedding.precision_record import Precision
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling
from daco_training.encoder.sources import load_encoder
from daco_training.evaluation.descriptors import embed_tensors


def engine(
    encoder: StoredEncoder, device: str, precision: Precision = "fp32", graphs: bool = False, threads: int = 0
) -> "TorchEngine":
    """Creates the engine for an encoder on a device returned by `pick_device`.

    Args:
        threads: on a CPU, of the whole process; 0 to leave them as they are.

    Raises:
        DacoError: the device does not support this precision, only the ONNX file of the encoder is known, or it needs
            consent to third-party code.
    """
    if threads:
        torch.set_num_threads(threads)
    return TorchEngine(Encoder.load(encoder.folder, encoder.trust), torch.device(device), precision, graphs)


def has_bf16() -> bool:
    """Whether the GPU supports bf16."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def keep_named(source: str, trust: bool, image_size: int | None = None, resize: Resize | None = None) -> StoredEncoder:
    """Loads an encoder with `load_encoder` and stores it in the cache. Raises DacoError."""
    return _keep(load_encoder(source, trust, image_size, resize), trust)


def convert(encoder: StoredEncoder) -> StoredEncoder:
    """Adds an ONNX file to an encoder that was saved without one, in the cache. Raises DacoError."""
    return _keep(Encoder.load(encoder.folder, encoder.trust), encoder.trust)


def _keep(encoder: Encoder, trust: bool) -> StoredEncoder:
    folder = kept_folder(encoder.fingerprint)
    with suppress(DacoError):
        kept = open_encoder(folder, trust)
        if kept.network:
            kept.read_network()
            return kept
    try:
        encoder.save(folder)
    except DacoError:  # a full disk, or a read-only home folder, as in a container
        temporary = Path(tempfile.mkdtemp(prefix="daco-encoder-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        folder = temporary / folder.name
        encoder.save(folder)
    return open_encoder(folder, trust)


MOST_AT_ONCE = 1024  # on a GPU; on a CPU, two images take at least twice as long as one


class TorchEngine:
    """An encoder run by PyTorch. It moves the encoder to its device, and must be its only user.

    Args:
        device: the GPU or CPU.
        precision: fp32, or bf16 by autocast.
        graphs: on a GPU, replay a CUDA graph of the network for each shape and batch size, which saves the CPU from
            launching hundreds of steps.

    Raises:
        DacoError: the device does not support this precision.
    """

    def __init__(
        self, encoder: Encoder, device: torch.device, precision: Precision = "fp32", graphs: bool = False
    ) -> None:
        if precision == "int8":
            raise UsageError("PyTorch does not compute in int8: use --device cpu, or another --precision.")
        on_gpu = device.type == "cuda"
        if precision == "bf16" and not (on_gpu and has_bf16()):
            raise UsageError(f"PyTorch does not support bf16 on {device}: use fp32.")
        self.device = device
        self.at_once = MOST_AT_ONCE if on_gpu else 1
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint
        self.image_size = encoder.config.image_size
        self.description = f"PyTorch {precision} on {device}"
        self._encoder = encoder.eval().to(self.device).to(memory_format=encoder.memory_format)
        # cast weights are not cached, because a captured graph would not notice when the cache frees them
        self._autocast = torch.autocast(device.type, torch.bfloat16, precision == "bf16", cache_enabled=False)
        self.local_grid = encoder.config.local_grid
        self._run: Run = self._descriptors
        self._run_with_local: Run = self._descriptors_with_local
        if graphs and on_gpu:
            self._run = Recordings(self._descriptors, device, encoder.memory_format)
            self._run_with_local = Recordings(self._descriptors_with_local, device, encoder.memory_format)
        self._alone = threading.Lock()  # a graph's input and output are at fixed places in memory

    def prepare(self, image: Image.Image) -> Prepared:
        return self._encoder.preparation(image)

    def embed_prepared(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        return self._embed(images, self._run, self.dimension)

    def embed_prepared_with_local(self, images: Sequence[Prepared]) -> Embedding:
        if self.local_grid is None:
            return Embedding(self.embed_prepared(images), None)
        cells = self.local_grid[0] * self.local_grid[1]
        rows = self._embed(images, self._run_with_local, self.dimension + cells * GridPooling.cell_width)
        local = rows[:, self.dimension :].reshape(len(rows), cells, GridPooling.cell_width)
        return Embedding(rows[:, : self.dimension], local)

    def _embed(self, images: Sequence[Prepared], run: Run, width: int) -> NDArray[np.float32]:
        try:
            with self._alone:
                rows: NDArray[np.float32] = embed_tensors(
                    self._encoder, list(map(torch.from_numpy, images)), run, width
                ).numpy()
        except torch.OutOfMemoryError as error:
            shape = " x ".join(str(side) for side in images[0].shape)
            raise UsageError(
                f"{len(images)} images of {shape} do not fit into {self.device}: use a smaller batch."
            ) from error
        return rows

    def for_many(self) -> "TorchEngine":
        return self

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.embed_prepared([self.prepare(image) for image in images])

    def _descriptors(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, dimension), both on the device; all from pooling on in float32."""
        return self._encoder.descriptors(self._encoder.pooling(self._maps(images)))

    def _descriptors_with_local(self, images: Tensor) -> Tensor:
        """Like `_descriptors`, each descriptor followed by the local ones: (n, dimension + cells x 64)."""
        pooling, maps = self._encoder.pooling, self._maps(images)
        assert isinstance(pooling, GridPooling)
        return torch.cat([self._encoder.descriptors(pooling(maps)), pooling.local(maps).flatten(1)], dim=1)

    def _maps(self, images: Tensor) -> list[Tensor]:
        with self._autocast:
            return [level.float() for level in self._encoder.feature_maps(images)]
