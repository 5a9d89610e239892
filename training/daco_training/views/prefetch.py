"""Prefetches the next batch while a GPU still computes its step."""

from collections.abc import Iterator

import torch

from daco_training.views.data_wait import WaitingTime
from daco_training.views.dataset import Batch


class Ahead:
    """Takes batches one by one; on a CUDA GPU each is rendered in a separate stream, in parallel to the current step.

    Args:
        device: the device that renders and trains.

    Attributes:
        waiting: how long steps waited for their batch.
    """

    def __init__(self, device: torch.device) -> None:
        self.waiting = WaitingTime(device)
        self._device = device
        self._beside = None
        if device.type == "cuda":  # with priority: its small operations must not wait for the step
            self._beside = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def next(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch, None after the last; to be called after a step has begun."""
        self.waiting.begin()
        batch = next(batches, None) if self._beside is None else self._draw_beside(batches, self._beside)
        self.waiting.end()
        return batch

    def _draw_beside(self, batches: Iterator[Batch], beside: torch.cuda.Stream) -> Batch | None:
        at_step = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(beside):
            batch = next(batches, None)
        at_step.wait_stream(beside)
        if batch is not None:
            for tensor in (*batch.views, batch.images, *batch.spots):
                tensor.record_stream(at_step)  # its memory must not be reused before the step has finished
        return batch
