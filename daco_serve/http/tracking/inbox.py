"""The received frames of a track that wait to be answered."""

import asyncio
from dataclasses import replace

from starlette.requests import HTTPConnection

from daco_serve.engine.tracking.session import Frame, both
from daco_serve.http.refusals import Refusal
from daco_serve.http.uploads.admission import Admission, Stream
from daco_serve.operation import metrics


class Arrived:
    """A received frame. Its bytes count as those of an upload until `let_go`.

    Args:
        connection: the connection that it came over.

    Attributes:
        refusal: why it will not be answered; its bytes are then freed.
    """

    def __init__(self, frame: Frame, admission: Admission, connection: HTTPConnection) -> None:
        self.frame = frame
        self.refusal: Refusal | None = None
        self._admission = admission
        self._held: Stream | None = None
        try:
            self._held = admission.hold(connection, len(frame.upload), self._give_way)
        except Refusal as refusal:
            self._give_way(refusal)

    def begin(self) -> None:
        """Marks it as being answered: from now on it does not give way to other clients."""
        if self._held is not None:
            self._held.gives_way = False

    def let_go(self) -> None:
        """Frees its bytes."""
        if self._held is not None:
            self._admission.let_go(self._held)
            self._held = None

    def _give_way(self, refusal: Refusal) -> None:
        self.frame = replace(self.frame, upload=b"")
        self.refusal = refusal


class Inbox:
    """The newest waiting frame, and the number of frames that it replaced."""

    def __init__(self) -> None:
        self.drops = True  # whether a newer frame replaces a waiting one; otherwise it waits for its turn
        self.dropped = 0
        self._waiting: Arrived | None = None
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, arrived: Arrived) -> None:
        """Adds a frame; the motion of a frame that it replaces is added to its own."""
        async with self._changed:
            if not self.drops:
                await self._changed.wait_for(lambda: self._waiting is None or self._closed)
            elif self._waiting is not None:
                self.dropped += 1
                metrics.track_frames.labels("dropped").inc()
                self._waiting.let_go()
                odometry = both(self._waiting.frame.odometry, arrived.frame.odometry)
                arrived.frame = replace(arrived.frame, odometry=odometry)
            self._waiting = arrived
            self._changed.notify_all()

    async def close(self) -> None:
        """Marks the end: no more frames will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drop(self) -> None:
        """Frees the waiting frame."""
        if self._waiting is not None:
            self._waiting.let_go()
            self._waiting = None

    async def next(self) -> Arrived | None:
        """The waiting frame, or the next one to come; None at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            arrived, self._waiting = self._waiting, None
            self._changed.notify_all()
            return arrived
