"""Encoders on PyTorch: on a GPU, and on a CPU those that have no ONNX file and no form in it.

The only module of the index that imports PyTorch and `daco_training`; `daco_index.embedding.encoders.pytorch` imports
it when it is needed.
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
from torch.nn import functional

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
from daco_training.evaluation.descriptors import describe


def engine(
    encoder: StoredEncoder, device: str, precision: Precision = "fp32", graphs: bool = False, threads: int = 0
) -> "TorchEngine":
    """The engine for an encoder on a device that `pick_device` gave.

    Args:
        threads: on a CPU, of the whole process; 0 to leave them as they are.

    Raises:
        DacoError: the device does not compute in this precision, or the encoder is known by its ONNX file alone or
            needs consent to third-party code.
    """
    if threads:
        torch.set_num_threads(threads)
    return TorchEngine(Encoder.load(encoder.folder, encoder.trust), torch.device(device), precision, graphs)


def has_bf16() -> bool:
    """Whether the GPU computes in bf16."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def keep_named(source: str, trust: bool, image_size: int | None = None, resize: Resize | None = None) -> StoredEncoder:
    """The encoder that `load_encoder` gives, kept in the cache. Raises DacoError."""
    return _keep(load_encoder(source, trust, image_size, resize), trust)


def convert(encoder: StoredEncoder) -> StoredEncoder:
    """An encoder that was saved without an ONNX file, kept in the cache with one. Raises DacoError."""
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
    except DacoError:  # a full disk, or a home that is read-only, as in a container
        temporary = Path(tempfile.mkdtemp(prefix="daco-encoder-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        folder = temporary / folder.name
        encoder.save(folder)
    return open_encoder(folder, trust)


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
            raise UsageError("PyTorch does not compute in int8: take --device cpu, or another --precision.")
        on_gpu = device.type == "cuda"
        if precision == "bf16" and not (on_gpu and has_bf16()):
            raise UsageError(f"{device} does not compute in bf16 with PyTorch: use fp32.")
        self.device = device
        self.at_once = MOST_AT_ONCE if on_gpu else 1
        self.dimension = encoder.dimension
        self.fingerprint = encoder.fingerprint
        self.image_size = encoder.config.image_size
        self.description = f"PyTorch {precision} on {device}"
        self._encoder = encoder.eval().to(self.device).to(memory_format=encoder.memory_format)
        # cast weights are not cached, as a recording would not notice when the cache lets them go
        self._autocast = torch.autocast(device.type, torch.bfloat16, precision == "bf16", cache_enabled=False)
        self.local_grid = encoder.config.local_grid
        self._run: Run = self._descriptors
        self._run_with_local: Run = self._descriptors_with_local
        if graphs and on_gpu:
            self._run = Recordings(self._descriptors, device, encoder.memory_format)
            self._run_with_local = Recordings(self._descriptors_with_local, device, encoder.memory_format)
        self._alone = threading.Lock()  # a recording's input and output are one place in memory

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
                rows: NDArray[np.float32] = describe(
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
        """(n, 3, h, w) to (n, dimension), both on the device; pooling and norm in float32."""
        return functional.normalize(self._encoder.pooling(self._maps(images)), dim=-1)

    def _descriptors_with_local(self, images: Tensor) -> Tensor:
        """As `_descriptors`, each descriptor followed by those of its cells: (n, dimension + cells x 64)."""
        pooling, maps = self._encoder.pooling, self._maps(images)
        assert isinstance(pooling, GridPooling)
        return torch.cat([functional.normalize(pooling(maps), dim=-1), pooling.local(maps).flatten(1)], dim=1)

    def _maps(self, images: Tensor) -> list[Tensor]:
        with self._autocast:
            return [level.float() for level in self._encoder.feature_maps(images)]
