"""The messages of `/v1/track`; angles in degrees, WGS 84, lengths in metres, times in seconds."""

from typing import Literal

from pydantic import ConfigDict, Field

from daco_serve.engine.answers import TrackStatus
from daco_serve.http.schemas import (
    ALTITUDE,
    HEADING,
    LATITUDE,
    ErrorDetail,
    LocalPosition,
    Prior,
    QueryAnswer,
    Schema,
)

MOST_SMOOTHED = 10_000  # frames of a track that can be smoothed


class TrackSettings(Schema):
    """`{"type": "settings", ...}`, before the first frame."""

    model_config = ConfigDict(extra="forbid")

    speed: float = Field(default=15.0, gt=0, le=1000, description="Highest speed in m/s; unused with odometry.")
    step_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="On a map without positions: the time in which a camera usually passes one reference.",
    )
    drop: bool = Field(default=True, description="Whether a newer frame replaces one that waits.")
    smooth: bool = Field(default=False, description="Whether all frames are estimated again after `finish`.")
    k: int = Field(default=1, ge=1, le=100, description="Number of matches in the answer for a frame alone.")


class OdometryGiven(Schema):
    """The motion that a vehicle measured since the previous frame, in its own frame at that time."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    forward: float = Field(ge=-1e4, le=1e4)
    left: float = Field(default=0.0, ge=-1e4, le=1e4)
    turn: float = Field(default=0.0, ge=-3600, le=3600, description="Degrees clockwise.")
    deviation_metres: float = Field(default=1.0, gt=0, le=1e4)
    deviation_degrees: float = Field(default=5.0, gt=0, le=360)


class FrameHeader(Schema):
    """`{"type": "frame", ...}`, sent before the frame."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    timestamp: float | None = Field(default=None, description="Seconds on the camera's clock.")
    odometry: OdometryGiven | None = None
    prior: Prior | None = None


class SequenceRequest(Schema):
    """The field `sequence` of `/v1/query/sequence`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    speed: float = Field(default=15.0, gt=0, le=1000, description="Highest speed in m/s; unused with odometry.")
    seconds: float = Field(default=1.0, gt=0, le=86400, description="Interval between two frames without timestamps.")
    step_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="On a map without positions: the time in which a camera usually passes one reference.",
    )
    smooth: bool = Field(
        default=True,
        description="Whether each frame is estimated from all frames; otherwise, from the frames up to it.",
    )
    k: int = Field(default=1, ge=1, le=100, description="Number of matches in the answer for a frame alone.")
    frames: list[FrameHeader] | None = Field(
        default=None,
        description="One for each photograph, in order; with timestamps for all of them or for none.",
    )


class TrackLocation(Schema):
    """The camera's position: on the earth, in a local frame, or in both."""

    latitude: float | None = Field(description=LATITUDE)
    longitude: float | None = Field(description=LATITUDE)
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=f"{HEADING} Null if the references have none, or disagree.")
    floor: str | None = Field(default=None, description="The name of the floor.")
    local: LocalPosition | None = Field(default=None, description="Null if the references have no local position.")
    uncertainty_metres: float = Field(description="Radius that contains 68 % of the probability.")


class TrackState(Schema):
    """The estimate from all frames so far."""

    status: TrackStatus = Field(
        description="tracking: one place has most of the probability; lost: none has; not_on_map: the camera is"
        " probably elsewhere."
    )
    probability: float = Field(description="Of the place: 25 m around it, or 3 references on a map without positions.")
    not_on_map: float = Field(description="The probability of not being on this map; 0 without a calibration.")
    place: str | None
    id: int | None = Field(description="The likeliest reference photograph of that place.")
    location: TrackLocation | None


class TrackAnswer(Schema):
    """The answer to one frame."""

    type: Literal["answer"] = "answer"
    frame: int = Field(description="1 for the first frame that was answered.")
    timestamp: float | None
    dropped: int = Field(description="Number of frames so far that were replaced by newer ones while they waited.")
    track: TrackState
    single: QueryAnswer = Field(description="The answer for this frame alone.")


class TrackFailure(Schema):
    """A message that could not be used; the track is unchanged."""

    type: Literal["error"] = "error"
    timestamp: float | None
    dropped: int
    error: ErrorDetail

    @classmethod
    def of(cls, code: str, message: str, timestamp: float | None, dropped: int) -> "TrackFailure":
        """The message for a code and a sentence."""
        return cls(timestamp=timestamp, dropped=dropped, error=ErrorDetail(code=code, message=message))


class SmoothedTrack(Schema):
    """The last message after `finish`; its lists are empty unless the settings asked to smooth.

    They end with the last answered frame. They begin with the first one, or later if the index changed in the meantime
    or the frames take too much memory.
    """

    type: Literal["finished"] = "finished"
    frames: list[TrackState]
    path: list[int | None] = Field(description="The likeliest sequence of reference photographs, by id.")


class SequenceFrame(Schema):
    """The result for one frame of a sequence: an estimate, or an error."""

    name: str | None = Field(description="The file's name, as the client sent it.")
    timestamp: float | None
    track: TrackState | None = Field(description="The estimate from all frames, or from those up to it.")
    reference: int | None = Field(
        description="Id of its reference photograph in the likeliest sequence of them; null if that is off the"
        " map, or without `smooth`."
    )
    single: QueryAnswer | None = Field(description="The answer for this frame alone.")
    error: ErrorDetail | None = Field(description="Why the frame was not used; the others are tracked without it.")


class SequenceAnswer(Schema):
    """One result for each frame, in order."""

    frames: list[SequenceFrame]
