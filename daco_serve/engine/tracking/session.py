"""Tracks one camera in an index of a service, across new generations of the index."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from daco_serve.engine.answers import Answer, QueryOptions, SearchArea
from daco_serve.engine.live_indexes import Live
from daco_serve.engine.service import Service
from daco_serve.engine.tracking.filter import FrameEvidence, Tracker, TrackEstimate, likenesses
from daco_serve.engine.tracking.motion import Motion, Odometry

CANDIDATES = 100  # matches of a frame that are used; all other references get the last one's similarity
MOST_SECONDS = 86400.0  # between two frames; after more time, a camera may be anywhere


@dataclass(frozen=True)
class Frame:
    """One photograph of a sequence.

    Args:
        upload: the bytes of an image file.
        timestamp: seconds on the camera's clock; None for the time of its arrival.
        odometry: the measured motion since the previous frame.
        area: where to search, if known from elsewhere.
    """

    upload: bytes
    timestamp: float | None = None
    odometry: Odometry | None = None
    area: SearchArea | None = None


async def look_up(service: Service, live: Live, frame: Frame, began: float, client: str) -> Answer:
    """Looks up a frame alone, with as many matches as a track needs.

    Raises:
        QueryError: it cannot be answered.
    """
    options = QueryOptions(k=CANDIDATES, area=frame.area, rerank=service.settings.usual_rerank)
    return await service.answer(live, frame.upload, options, began, client)


def evidence_of(answer: Answer, frame: Frame) -> FrameEvidence:
    """The filter's evidence from an answer."""
    values = likenesses(answer.matches)
    order = np.argsort(-values, kind="stable")
    return FrameEvidence(
        np.array([match.entry.id for match in answer.matches], dtype=np.int64)[order],
        values[order],
        answer.estimate.on_map if frame.area is None else None,
        limited=frame.area is not None,
    )


def both(first: Odometry | None, second: Odometry | None) -> Odometry | None:
    """The sum of two consecutive motions; None if either is unknown."""
    return None if first is None or second is None else first.then(second)


class TrackSession:
    """Answers each frame with the track so far, and with the result for the frame alone.

    Args:
        index: its name; None for the first index.
        client: who sends the frames; clients take turns.
        remember: keep the frames for `Tracker.smoothed` and `Tracker.best_path`.

    Raises:
        QueryError: there is no such index, or it is not loaded yet.
    """

    def __init__(
        self, service: Service, index: str | None, client: str, motion: Motion | None = None, remember: bool = False
    ) -> None:
        self._service = service
        self._index = index
        self._client = client
        self._motion = motion or Motion()
        self._remember = remember
        self._live: Live = service.choose(index)
        self._tracker: Tracker | None = None
        self._last: tuple[float | None, float] | None = None  # timestamp and arrival of the previous frame

    @property
    def tracker(self) -> Tracker | None:
        """The filter; None before the first frame."""
        return self._tracker

    async def frame(self, frame: Frame) -> tuple[TrackEstimate, Answer]:
        """Processes one frame.

        Raises:
            QueryError: it cannot be answered; the track is unchanged.
        """
        arrived = time.perf_counter()
        live = self._service.choose(self._index)
        answer = await look_up(self._service, live, frame, arrived, self._client)
        tracker = await self._tracker_of(live)
        seconds = self._seconds(frame.timestamp, arrived)
        estimate = await asyncio.to_thread(tracker.update, evidence_of(answer, frame), seconds, frame.odometry)
        return estimate, answer

    def _seconds(self, timestamp: float | None, arrived: float) -> float:
        """Since the previous frame: on the camera's clock if both frames have timestamps, else on the server's."""
        last, self._last = self._last, (timestamp, arrived)
        if last is None:
            return 0.0
        last_timestamp, last_arrived = last
        seconds = arrived - last_arrived
        if timestamp is not None and last_timestamp is not None:
            seconds = timestamp - last_timestamp
        return min(max(0.0, seconds), MOST_SECONDS)

    async def _tracker_of(self, live: Live) -> Tracker:
        """The filter over the current references; it keeps its belief when a new generation is loaded."""
        if self._tracker is None or live.bundle is not self._live.bundle:
            states = await asyncio.to_thread(lambda: live.states)
            if self._tracker is None:
                self._tracker = Tracker(states, self._motion, remember=self._remember)
            else:
                self._tracker.move_to(states)
            self._live = live
        return self._tracker
