"""A cache of decoded photographs: on the GPU while they fit, then in main memory; others are read again."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daco_core.photographs.images import open_rgb
from daco_training.loop.memory import total_memory

CPU = torch.device("cpu")

# a crop is at least a fifth of a photograph's area, so in one twice as large as a view it has about a view's size
DETAIL = 2


class ImageStore:
    """Photographs by path as tensors on a device, (3, h, w) of 8 bits; the same whether cached or read again.

    Args:
        size: the size of views in pixels; photographs whose shorter side is more than `DETAIL` times as long are scaled
            down to that.
        device: the device of the tensors.
        memory_share: the share of the GPU's memory and of main memory for the cache; 0 disables it.
        workers: number of threads for `read_ahead`; 0 for none.
        processes: number of processes that share this machine's main memory.
    """

    def __init__(
        self, size: int, device: torch.device, memory_share: float, workers: int = 0, processes: int = 1
    ) -> None:
        self.shorter = DETAIL * size
        self.device = device
        self.workers = workers
        self.kept: dict[Path, Tensor] = {}
        self._room = {CPU: int(memory_share * total_memory(CPU) / processes)}
        if device.type == "cuda":
            self._room = {device: int(memory_share * total_memory(device)), **self._room}
        self._awaited: dict[Path, Future[Tensor]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __getitem__(self, path: Path) -> Tensor:
        """The photograph at a path.

        Raises:
            UnreadableImage: it is damaged.
        """
        image = self.kept.get(path)
        if image is None:
            awaited = self._awaited.pop(path, None)
            image = self._keep(path, awaited.result() if awaited else self._read(path))
        return image.to(self.device, non_blocking=True)

    def read_ahead(self, paths: Iterable[Path]) -> None:
        """Begins to read photographs that are not in memory."""
        if not self.workers:
            return
        self._pool = self._pool or ThreadPoolExecutor(self.workers)
        for path in paths:
            if path not in self.kept and path not in self._awaited:
                self._awaited[path] = self._pool.submit(self._read, path)

    def close(self) -> None:
        """Cancels reads that have not begun, and ends the threads; the cache remains."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._awaited.clear()

    def _read(self, path: Path) -> Tensor:
        # channels last, as decoded: PyTorch crops and resizes this layout fastest
        return torch.from_numpy(np.array(open_rgb(path, self.shorter))).permute(2, 0, 1)

    def _keep(self, path: Path, image: Tensor) -> Tensor:
        for place, room in self._room.items():
            if image.nbytes <= room:
                self._room[place] = room - image.nbytes
                image = image.to(place)
                self.kept[path] = image
                break
        return image
