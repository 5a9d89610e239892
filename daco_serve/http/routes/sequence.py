"""`POST /v1/query/sequence`: tracks the frames of one camera, all sent in one request."""

import json
import time
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request

from daco_serve.engine.live_indexes import Live
from daco_serve.engine.service import Service
from daco_serve.engine.tracking import Motion
from daco_serve.engine.tracking.sequence import track_sequence
from daco_serve.engine.tracking.session import look_up
from daco_serve.http.answers import query_answer, track_estimate, track_frame
from daco_serve.http.middleware.rates import count_photographs
from daco_serve.http.refusals import Refusal, documented, validated
from daco_serve.http.routes.concurrency import answer_each, unless_left
from daco_serve.http.routes.dependencies import AdmissionOf, ServiceOf
from daco_serve.http.routes.query import FULL, PHOTOGRAPH, Chosen
from daco_serve.http.schemas import ErrorDetail
from daco_serve.http.track_schemas import FrameHeader, SequenceAnswer, SequenceFrame, SequenceRequest
from daco_serve.http.uploads.read import FIELD, Upload, read_uploads

router = APIRouter(prefix="/v1", tags=["query"])

SETTINGS = "sequence"
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    FIELD: {"type": "array", "items": PHOTOGRAPH},
                    SETTINGS: {
                        "type": "string",
                        "description": "JSON: speed, seconds, step_seconds, smooth, k, and frames, a list with one"
                        " object for each photograph: timestamp, odometry, prior.",
                        "example": '{"speed": 10, "frames": [{"timestamp": 0.0}, {"timestamp": 0.5}]}',
                    },
                },
                "required": [FIELD],
            }
        }
    },
}


@router.post(
    "/query/sequence",
    summary="Find where each frame of a sequence was taken",
    responses=documented(
        "bad_form",
        "upload_too_slow",
        "image_too_large",
        "json_too_large",
        "no_image",
        "bad_k",
        "invalid_request",
        "unknown_index",
        *FULL,
        "not_ready",
    ),
    openapi_extra={"requestBody": BODY},
)
async def query_sequence(request: Request, service: ServiceOf, admission: AdmissionOf, live: Chosen) -> SequenceAnswer:
    """The camera's position in each frame, estimated from all frames and a motion model.

    `curl -F image=@1.jpg -F image=@2.jpg -F 'sequence={"seconds": 0.5}' ADDRESS/v1/query/sequence`
    """
    began = time.perf_counter()
    with admission.place(request) as place:
        uploads, content = await read_uploads(request, place, service.settings, SETTINGS)
        asked = _settings(content, len(uploads), service.settings.max_k)
        await count_photographs(request, [upload.content for upload in uploads])
        return await unless_left(request, _track(service, live, uploads, asked, began, place.client))


def _settings(content: bytes, frames: int, max_k: int) -> SequenceRequest:
    try:
        given: Any = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        raise Refusal("invalid_request", f"The field '{SETTINGS}' is not JSON.") from None
    if not isinstance(given, dict):
        raise Refusal("invalid_request", f"The field '{SETTINGS}' must be a JSON object.")
    asked = validated(SequenceRequest, given)
    if asked.k > max_k:
        raise Refusal("bad_k", f"k must be a whole number from 1 to {max_k}.")
    if asked.frames is None:
        return asked
    if len(asked.frames) != frames:
        raise Refusal(
            "invalid_request", f"frames: there are {len(asked.frames)} of them, but {frames} photographs: send as many."
        )
    times = [header.timestamp for header in asked.frames if header.timestamp is not None]
    if times and len(times) < frames:
        raise Refusal("invalid_request", "frames: either all have a timestamp, or none has one.")
    if times != sorted(times):
        raise Refusal("invalid_request", "frames: the timestamps are not in ascending order.")
    return asked


async def _track(
    service: Service, live: Live, uploads: list[Upload], asked: SequenceRequest, began: float, client: str
) -> SequenceAnswer:
    headers = asked.frames or [FrameHeader() for _ in uploads]
    frames = [track_frame(upload.content, header) for upload, header in zip(uploads, headers, strict=True)]
    found = await answer_each(uploads, lambda number: look_up(service, live, frames[number], began, client))
    answers = [None if isinstance(answer, ErrorDetail) else answer for answer in found]
    motion = Motion(speed=asked.speed, step_seconds=asked.step_seconds)
    tracked = await track_sequence(live, frames, answers, motion, asked.seconds, asked.smooth)
    return SequenceAnswer(
        frames=[
            SequenceFrame(
                name=upload.name,
                timestamp=frame.timestamp,
                track=None if place.estimate is None else track_estimate(place.estimate),
                reference=place.reference,
                single=None
                if isinstance(answer, ErrorDetail)
                else query_answer(replace(answer, matches=answer.matches[: asked.k]), service),
                error=answer if isinstance(answer, ErrorDetail) else None,
            )
            for upload, frame, place, answer in zip(uploads, frames, tracked, found, strict=True)
        ]
    )
