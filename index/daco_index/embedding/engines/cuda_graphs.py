"""CUDA graphs: one graph for each image shape and batch size, replayed in a single launch."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UPS = 3  # runs before a graph is captured, in which cuDNN chooses its algorithms and memory is allocated
Run = Callable[[Tensor], Tensor]
"""A network on the GPU: (n, 3, h, w) to (n, d)."""

MOST_RECORDINGS = 32  # each holds its network's intermediate results on the GPU; the least recently used is dropped


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    descriptors: Tensor


class Recordings:
    """A network that is captured as a CUDA graph when a shape occurs for the second time, and replayed from then on.

    For use by one thread at a time. Batches are padded to the next power of two, so that few graphs serve all sizes.
    What cannot be captured runs step by step.

    Source: PyTorch, "CUDA semantics: CUDA Graphs" (capture after warm-up on a side stream, static inputs).
    """

    def __init__(self, run: Run, device: torch.device, memory_format: torch.memory_format) -> None:
        self._run = run
        self._memory_format = memory_format
        self._device = device
        self._recordings: OrderedDict[torch.Size, _Recording] = OrderedDict()
        self._seen: set[torch.Size] = set()
        self._pool = torch.cuda.graph_pool_handle()
        self._recordable = True

    def __call__(self, images: Tensor) -> Tensor:
        count = len(images)
        shape = torch.Size((1 << (count - 1).bit_length(), *images.shape[1:]))
        recording = self._recordings.get(shape)
        if recording is None and self._recordable and shape in self._seen:
            recording = self._record(shape)
        self._seen.add(shape)
        if recording is None:
            return self._run(images)
        self._recordings.move_to_end(shape)
        recording.images[:count].copy_(images)
        recording.graph.replay()
        return recording.descriptors[:count].clone()

    def _record(self, shape: torch.Size) -> _Recording | None:
        images = torch.zeros(shape, device=self._device).to(memory_format=self._memory_format)
        try:
            beside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    self._run(images)
            torch.cuda.current_stream(self._device).wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                descriptors = self._run(images)
        except torch.OutOfMemoryError:
            self._recordings.clear()
            log.warning("Too little memory on %s to capture a CUDA graph: the network runs step by step.", self._device)
            self._recordable = False
            return None
        except RuntimeError as error:  # a network that waits for the GPU, or allocates memory in an unsupported way
            log.warning("The network cannot be captured as a CUDA graph (%s): it runs step by step.", error)
            self._recordable = False
            return None
        while len(self._recordings) >= MOST_RECORDINGS:
            self._recordings.popitem(last=False)
        self._recordings[shape] = _Recording(graph, images, descriptors)
        return self._recordings[shape]
