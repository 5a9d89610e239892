"""Measures how long a device waits for data."""

import time

import torch


class WaitingTime:
    """Adds up the time on a device from the end of a step until the data for the next one are ready.

    On a CUDA GPU the times are recorded in its own queue of work: what the program does while the GPU is busy does not
    count.

    Args:
        device: the device that steps.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._began: float | torch.cuda.Event = 0.0
        self._seconds = 0.0

    def begin(self) -> None:
        """Marks the end of a step; on a GPU, all of its work is in the queue."""
        self._began = self._mark()

    def end(self) -> None:
        """Marks that the data for the next step are ready."""
        ended = self._mark()
        if isinstance(self._began, float) and isinstance(ended, float):
            self._seconds += ended - self._began
        elif isinstance(self._began, torch.cuda.Event) and isinstance(ended, torch.cuda.Event):
            self._spans.append((self._began, ended))

    def seconds(self) -> float:
        """Seconds waited so far."""
        for began, ended in self._spans:
            ended.synchronize()
            self._seconds += began.elapsed_time(ended) / 1000
        self._spans.clear()
        return self._seconds

    def _mark(self) -> float | torch.cuda.Event:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
