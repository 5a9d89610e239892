"""The frames of a track that have come in and wait for their turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from daco_serve.engine.tracking.session import Frame, both
from daco_serve.http.refusals import Refusal
from daco_serve.http.uploads.admission import Place
from daco_serve.operation import metrics


@dataclass(frozen=True)
class Arrived:
    """A frame that has come in.

    Args:
        held: its bytes among those of all uploads; None where there was no room for them.
        refusal: why it is refused already.
    """

    frame: Frame
    held: Place | None
    refusal: Refusal | None = None


class Inbox:
    """The newest frame that waits, and how many it has replaced.

    Args:
        let_go: told of what was held for a frame that is replaced.
    """

    def __init__(self, let_go: Callable[[Place | None], None]) -> None:
        self.drops = True  # whether a newer frame replaces one that waits; else it waits for its turn
        self.dropped = 0
        self._let_go = let_go
        self._waiting: Arrived | None = None
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, arrived: Arrived) -> None:
        """Takes a frame in; the motion of one that it replaces is added to its own."""
        async with self._changed:
            if not self.drops:
                await self._changed.wait_for(lambda: self._waiting is None or self._closed)
            elif self._waiting is not None:
                self.dropped += 1
                metrics.track_frames.labels("dropped").inc()
                self._let_go(self._waiting.held)
                frame = arrived.frame
                odometry = both(self._waiting.frame.odometry, frame.odometry)
                arrived = replace(arrived, frame=replace(frame, odometry=odometry))
            self._waiting = arrived
            self._changed.notify_all()

    async def close(self) -> None:
        """No more will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drop(self) -> None:
        """Lets go of what waits."""
        if self._waiting is not None:
            self._let_go(self._waiting.held)
            self._waiting = None

    async def next(self) -> Arrived | None:
        """The frame that waits, or the next to come; None when no more will."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            arrived, self._waiting = self._waiting, None
            self._changed.notify_all()
            return arrived
