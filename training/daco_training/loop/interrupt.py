"""Ctrl-C as a request to stop after the current step."""

import signal
import threading
from types import FrameType, TracebackType


class StopSignal:
    """Within this context the first Ctrl-C (or SIGTERM) only sets `requested`; a second one stops at once.

    In a thread other than the main one, which gets no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "StopSignal":
        in_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if in_main else ()
        self._previous = {number: signal.signal(number, self._request) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(number, self._previous[signal.Signals(number)])


def ignore_interrupts(worker: int) -> None:
    """For a loader's worker process: leaves Ctrl-C to the process that it works for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
