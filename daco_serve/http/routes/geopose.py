"""`POST /geopose`: the GeoPose Protocol of the Open Spatial Computing Platform."""

import asyncio
import base64
import binascii
import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from daco_serve.http.answers import query_answer, search_area
from daco_serve.http.formats import located
from daco_serve.http.geopose import (
    Accuracy,
    BasicQuaternion,
    GeoPoseAnswer,
    GeoPoseRequest,
    geo_position,
    orientation_accuracy,
    quaternion_of,
)
from daco_serve.http.refusals import Refusal, documented
from daco_serve.http.routes.dependencies import IndexName, ServiceOf
from daco_serve.http.routes.query import LOOKING_UP, unless_left
from daco_serve.http.schemas import Prior
from daco_serve.http.uploads import FORM_BYTES, read_upload

router = APIRouter(tags=["geopose"])

# read by hand like the other bodies, so OpenAPI is told by hand; GeoPoseRequest says what is used of it
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "description": "A GeoPose Protocol request.",
                "required": ["id", "sensorReadings"],
                "properties": {"id": {"type": "string"}, "sensorReadings": {"type": "object"}},
            },
            "example": {
                "id": "d9fbf438",
                "timestamp": 1700000000000,
                "type": "geopose",
                "sensors": [{"id": "0", "type": "camera"}],
                "sensorReadings": {
                    "cameraReadings": [{"sensorId": "0", "imageFormat": "JPG", "imageBytes": "/9j/..."}]
                },
            },
        }
    },
}
RAW = {"RGBA32", "GRAY8", "DEPTH"}


@router.post(
    "/geopose",
    summary="Find where a photograph was taken, by the GeoPose Protocol",
    responses=documented(*LOOKING_UP, "invalid_request", "not_located"),
    openapi_extra={"requestBody": BODY},
)
async def geopose(request: Request, service: ServiceOf, index: IndexName = None) -> GeoPoseAnswer:
    """The pose of the first camera reading, its position's accuracy as the radius that holds 68 of 100.

    A geolocation reading with an accuracy narrows the search to three times that, and 100 m at least.
    """
    began = time.perf_counter()
    settings = service.settings
    live = service.choose(index)
    with service.admission():
        most = settings.max_upload_bytes * 4 // 3 + FORM_BYTES
        body = await read_upload(request, most, settings.upload_seconds)
        asked, photograph, prior = await asyncio.to_thread(_parse, body)
        answer = await unless_left(request, service.answer(live, photograph, 1, began, search_area(prior)))
    location = located(query_answer(answer, service))
    return GeoPoseAnswer(
        id=asked.id,
        timestamp=time.time_ns() // 1_000_000,
        accuracy=Accuracy(position=location.uncertainty_metres, orientation=orientation_accuracy(location.heading)),
        geopose=BasicQuaternion(position=geo_position(location), quaternion=quaternion_of(location.heading)),
    )


def _parse(body: bytes) -> tuple[GeoPoseRequest, bytes, Prior | None]:
    try:
        asked = GeoPoseRequest.model_validate_json(body)
        prior = asked.prior()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refusal("invalid_request", f"{where}: {first['msg']}.") from error
    if not asked.sensorReadings.cameraReadings:
        raise Refusal("no_image", "The request has no cameraReadings, so there is no photograph to look up.")
    reading = asked.sensorReadings.cameraReadings[0]
    if reading.imageFormat.upper() in RAW:
        raise Refusal("unsupported_format", f"{reading.imageFormat} is not taken: send the photograph as JPG.")
    if reading.imageOrientation.mirrored or reading.imageOrientation.rotation % 360:
        raise Refusal("invalid_request", "imageOrientation: send the photograph upright and not mirrored.")
    try:
        photograph = base64.b64decode(reading.imageBytes.rpartition(",")[2], validate=True)  # a data URL's too
    except (binascii.Error, ValueError) as error:
        raise Refusal("not_an_image", "imageBytes is not base64.") from error
    if not photograph:
        raise Refusal("no_image", "imageBytes is empty.")
    return asked, photograph, prior
