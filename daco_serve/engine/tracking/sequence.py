"""Tracks a complete sequence of frames: all are looked up first, then the track is estimated from all of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from daco_serve.engine.answers import Answer
from daco_serve.engine.live_indexes import Live
from daco_serve.engine.tracking.filter import Tracker, TrackEstimate
from daco_serve.engine.tracking.motion import Motion
from daco_serve.engine.tracking.session import MOST_SECONDS, Frame, both, evidence_of


@dataclass(frozen=True)
class TrackedFrame:
    """The result for one frame.

    Args:
        estimate: the camera's position; None for a frame that could not be looked up.
        reference: id of its reference in the likeliest sequence; None if that is off the map or anywhere, or if it was
            not requested.
    """

    estimate: TrackEstimate | None
    reference: int | None = None


async def track_sequence(
    live: Live,
    frames: Sequence[Frame],
    answers: Sequence[Answer | None],
    motion: Motion,
    seconds: float,
    smooth: bool,
) -> list[TrackedFrame]:
    """Estimates where the camera is in each frame.

    Args:
        live: the index that was searched.
        frames: either all have a timestamp, or none.
        answers: the result for each frame alone; None if it could not be looked up, which leaves a gap.
        seconds: between two frames without timestamps.
        smooth: estimate each frame from all frames, and also the likeliest sequence of references; otherwise, estimate
            each frame from the frames up to it.
    """
    states = await asyncio.to_thread(lambda: live.states)
    return await asyncio.to_thread(_track, Tracker(states, motion, remember=smooth), frames, answers, seconds)


def _track(
    tracker: Tracker, frames: Sequence[Frame], answers: Sequence[Answer | None], seconds: float
) -> list[TrackedFrame]:
    tracked = [TrackedFrame(None) for _ in frames]
    used: list[int] = []
    last: float | None = None
    gap: Frame | None = None  # an unused frame, whose motion is added to that of the next one
    for number, (frame, answer) in enumerate(zip(frames, answers, strict=True)):
        odometry = frame.odometry if gap is None else both(gap.odometry, frame.odometry)
        if answer is None:
            gap = replace(frame, upload=b"", odometry=odometry)
            continue
        gap = None
        now = number * seconds if frame.timestamp is None else frame.timestamp
        passed = 0.0 if last is None else min(max(0.0, now - last), MOST_SECONDS)
        last = now
        tracked[number] = TrackedFrame(tracker.update(evidence_of(answer, frame), passed, odometry))
        used.append(number)
    # the oldest frames are dropped if they take too much memory
    smoothed, path = tracker.smoothed(), tracker.best_path()
    for number, estimate, reference in zip(used[len(used) - len(smoothed) :], smoothed, path, strict=True):
        tracked[number] = TrackedFrame(estimate, reference)
    return tracked
