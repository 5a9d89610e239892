"""`POST /geopose`: the GeoPose Protocol of the Open Spatial Computing Platform."""

import asyncio
import binascii
import json
import re
import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from daco_serve.engine.answers import QueryOptions
from daco_serve.http.answers import query_answer, search_area
from daco_serve.http.formats import located
from daco_serve.http.geopose import (
    MOST_READINGS,
    Accuracy,
    BasicQuaternion,
    GeoPoseAnswer,
    GeoPoseRequest,
    geo_position,
    orientation_accuracy,
    quaternion_of,
)
from daco_serve.http.middleware.rates import count_photographs
from daco_serve.http.refusals import Refusal, documented
from daco_serve.http.routes.concurrency import unless_left
from daco_serve.http.routes.dependencies import AdmissionOf, IndexName, ServiceOf
from daco_serve.http.routes.query import LOOKING_UP
from daco_serve.http.schemas import Prior
from daco_serve.http.uploads.image_header import looks_like_image
from daco_serve.http.uploads.read import read_body

router = APIRouter(tags=["geopose"])

# the body is parsed by hand, like others, so it is documented by hand; GeoPoseRequest has the fields that are used
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
JSON_BYTES = 256 * 2**10  # of a request besides its photographs
# the base64 text of a photograph: cut out before the JSON is parsed, so that no large text has to be parsed
IMAGE_BYTES = re.compile(rb'("imageBytes"\s*:\s*")([^"\\]*+(?:\\.[^"\\]*+)*+)(?=")')
CUT_OUT = "photograph "  # followed by its number, in its place
BASE64_WEIGHT = 2  # bytes of memory for one byte of base64: the text, and the decoded photograph


@router.post(
    "/geopose",
    summary="Find where a photograph was taken, by the GeoPose Protocol",
    responses=documented(*LOOKING_UP, "invalid_request", "json_too_large", "not_located"),
    openapi_extra={"requestBody": BODY},
)
async def geopose(
    request: Request, service: ServiceOf, admission: AdmissionOf, index: IndexName = None
) -> GeoPoseAnswer:
    """The pose of the first camera reading; the accuracy of its position is the radius that contains 68 % of cases.

    A geolocation reading with an accuracy limits the search to three times that, at least 100 m.
    """
    began = time.perf_counter()
    settings = service.settings
    live = service.choose(index)
    with admission.place(request) as place:
        most = settings.max_upload_bytes * 4 // 3 + JSON_BYTES
        too_large = Refusal("image_too_large", f"The photograph is larger than {settings.max_upload_bytes} bytes.")
        body = await read_body(request, place, most, too_large, settings.upload_seconds, BASE64_WEIGHT)
        asked, photograph, prior = await asyncio.to_thread(_parse, body)
        del body
        await count_photographs(request, [photograph])
        upright = asked.sensorReadings.cameraReadings[0].imageOrientation.upright()
        options = QueryOptions(1, search_area(prior), settings.usual_rerank)
        answer = await unless_left(request, service.answer(live, photograph, options, began, place.client, upright))
    location = located(query_answer(answer, service))
    return GeoPoseAnswer(
        id=asked.id,
        timestamp=time.time_ns() // 1_000_000,
        accuracy=Accuracy(position=location.uncertainty_metres, orientation=orientation_accuracy(location.heading)),
        geopose=BasicQuaternion(
            position=geo_position(location, asked.height()), quaternion=quaternion_of(location.heading)
        ),
    )


def _parse(body: bytes) -> tuple[GeoPoseRequest, bytes, Prior | None]:
    """Parses the request: its fields, its first photograph and where to search; to be called in a thread.

    Raises:
        Refusal: it is not a valid request, is too large besides the photograph, or its photograph is not base64.
    """
    cut_out: list[memoryview] = []

    def cut(found: re.Match[bytes]) -> bytes:
        if len(cut_out) == MOST_READINGS:
            raise Refusal("json_too_large", f"The request has more than {MOST_READINGS} photographs.")
        cut_out.append(memoryview(body)[found.start(2) : found.end(2)])
        return found[1] + f"{CUT_OUT}{len(cut_out) - 1}".encode()

    rest = IMAGE_BYTES.sub(cut, body)
    if len(rest) > JSON_BYTES:
        raise Refusal("json_too_large", f"The request has more than {JSON_BYTES} bytes besides its photographs.")
    try:
        asked = GeoPoseRequest.model_validate_json(rest)
        prior = asked.prior()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refusal("invalid_request", f"{where}: {first['msg']}.") from error
    if not asked.sensorReadings.cameraReadings:
        raise Refusal("no_image", "The request has no cameraReadings, so there is no photograph to look up.")
    reading = asked.sensorReadings.cameraReadings[0]
    try:
        reading.imageOrientation.upright()
    except ValueError as error:
        raise Refusal("invalid_request", f"imageOrientation: {error}.") from error
    number = reading.imageBytes.removeprefix(CUT_OUT)
    numbered = {str(place): text for place, text in enumerate(cut_out)}
    text = numbered.get(number) or reading.imageBytes.encode()
    photograph = _decoded(text)
    if not photograph:
        raise Refusal("no_image", "imageBytes is empty.")
    if not looks_like_image(photograph) and reading.imageFormat.upper() in RAW:
        raise Refusal("unsupported_format", f"{reading.imageFormat} is not supported: send the photograph as JPG.")
    return asked, photograph, prior


def _decoded(text: memoryview | bytes) -> bytes:
    """Decodes the base64 in a JSON string, or in a data URL."""
    try:
        if re.search(rb"\\", text):  # some programs escape each slash
            text = json.loads(b'"%b"' % bytes(text)).encode()
        if (prefix := re.match(rb"data:[^,]*,", text)) is not None:
            text = text[prefix.end() :]
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise Refusal("not_an_image", "imageBytes is not base64.") from error
