"""The network in training as CUDA graphs: its forward and backward passes are captured once, then replayed."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class RecordedNetwork:
    """A network on a GPU whose forward and backward passes are one launch each instead of thousands.

    Without this, the GPU waits for the program, which launches operations more slowly than the GPU runs them. The graph
    contains the same operations, so that the result is the same; what cannot be captured runs step by step.

    Source: PyTorch, `torch.cuda.make_graphed_callables`.

    Args:
        network: on the GPU, in training mode; views (n, 3, h, w) to a tuple of tensors.
        step_by_step: the same network for running without a graph.
        precision: the number format that it computes in.
    """

    def __init__(
        self,
        network: nn.Module,
        step_by_step: Callable[..., tuple[Tensor, ...]],
        precision: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._network = network
        self._step_by_step = step_by_step
        self._precision = precision
        self._recordings: dict[tuple[str, tuple[torch.Size, ...]], Callable[..., tuple[Tensor, ...]]] = {}
        self._recordable = True

    def __call__(self, *views: Tensor, beside: str = "") -> tuple[Tensor, ...]:
        key = beside, tuple(view.shape for view in views)
        if key not in self._recordings and self._recordable:
            self._record(key, views)
        if key in self._recordings:
            return self._recordings[key](*views)
        return self._step_by_step(*views, beside=beside)

    def _record(self, key: tuple[str, tuple[torch.Size, ...]], views: tuple[Tensor, ...]) -> None:
        before = [buffer.clone() for buffer in self._network.buffers()]
        passes = _Passes(self._network, key[0], self._precision)
        try:
            own = tuple(view.clone() for view in views)  # the graph's own input, so not the memory of a batch
            recorded = torch.cuda.make_graphed_callables(passes, own, allow_unused_input=True)
            self._recordings[key] = cast(Callable[..., tuple[Tensor, ...]], recorded)
        except RuntimeError as error:  # no memory left, or a network that waits for the GPU
            log.warning("The network cannot be captured as a CUDA graph (%s); it is trained without one.", error)
            self._recordable = False
        # the warm-up runs before the capture have updated the statistics of batch norm
        for buffer, value in zip(self._network.buffers(), before, strict=True):
            buffer.copy_(value)


class _Passes(nn.Module):
    """The network's passes in its number format, in the form that is captured: returns tensors of at least 32 bits."""

    def __init__(self, network: nn.Module, beside: str, precision: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self.network = network
        self.beside = beside
        self.precision = precision

    def forward(self, *views: Tensor) -> tuple[Tensor, ...]:
        with self.precision():
            outputs = self.network(*views, beside=self.beside)
        return tuple(output.to(torch.promote_types(output.dtype, torch.float32)) for output in outputs)
