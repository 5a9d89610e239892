"""Ctrl-C as a request to stop after the current step."""

import signal
import threading
from types import FrameType, TracebackType


class StopSignal:
    """Within this context the first Ctrl-C (or SIGTERM) only sets `requested`; a second one stops immediately.

    In other threads than the main one, which receive no signals, it does nothing.
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
    """Makes a loader's worker process ignore Ctrl-C, which its parent process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
