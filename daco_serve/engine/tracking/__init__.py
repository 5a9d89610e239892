"""Tracks a camera over a sequence of frames: a discrete Bayes filter over the references of an index."""

from daco_serve.engine.tracking.filter import FrameEvidence, Tracker, TrackEstimate
from daco_serve.engine.tracking.motion import Motion, Odometry
from daco_serve.engine.tracking.states import States

__all__ = ["FrameEvidence", "Motion", "Odometry", "States", "TrackEstimate", "Tracker"]
