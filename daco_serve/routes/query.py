"""`POST /v1/query`: a photograph in, places out."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from daco_serve.errors import Refusal, documented
from daco_serve.routes.dependencies import IndexName, PriorGiven, ServiceOf
from daco_serve.schemas import QueryAnswer
from daco_serve.uploads import FIELD, read_upload

router = APIRouter(prefix="/v1", tags=["query"])

# the body is read by hand, to take both forms and to count while it streams, so OpenAPI is told by hand too
PHOTOGRAPH = {"type": "string", "format": "binary", "description": "A JPEG, PNG or WebP photograph."}
FORM = {"type": "object", "properties": {FIELD: PHOTOGRAPH}, "required": [FIELD]}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": FORM},
        **{kind: {"schema": PHOTOGRAPH} for kind in ("image/jpeg", "image/png", "image/webp")},
    },
}
REFUSED = documented(
    "bad_form",
    "upload_too_slow",
    "image_too_large",
    "not_an_image",
    "unsupported_format",
    "no_image",
    "image_truncated",
    "image_too_narrow",
    "bad_k",
    "unknown_index",
    "bad_prior",
    "prior_holds_nothing",
    "too_busy",
    "not_ready",
)


@router.post(
    "/query", summary="Find where a photograph was taken", responses=REFUSED, openapi_extra={"requestBody": BODY}
)
async def query(
    request: Request,
    service: ServiceOf,
    k: Annotated[int | None, Query(ge=1, description="How many matches; the server has a default and a limit.")] = None,
    index: IndexName = None,
    prior: PriorGiven = None,
) -> QueryAnswer:
    """The reference photographs most similar to the one sent, and the location that follows from them.

    Send it as a form, `curl -F image=@night.jpg 'ADDRESS/v1/query?k=5'`, or as the body itself,
    `curl --data-binary @night.jpg -H 'Content-Type: image/jpeg' 'ADDRESS/v1/query?k=5'`.
    """
    began = time.perf_counter()
    settings = service.settings
    wanted = min(settings.k, settings.max_k) if k is None else k
    if wanted > settings.max_k:
        raise Refusal("bad_k", f"k must be a whole number from 1 to {settings.max_k}.")
    live = service.choose(index)
    with service.admission():
        upload = await read_upload(request, settings.max_upload_bytes, settings.upload_seconds)
        return await _unless_left(request, service.answer(live, upload, wanted, began, prior))


async def _unless_left(request: Request, answer: Coroutine[Any, Any, QueryAnswer]) -> QueryAnswer:
    """Waits for the answer; drops the work if the client goes away first."""
    work = asyncio.create_task(answer)
    leaving = asyncio.ensure_future(request.receive())  # the body is read, so all that can come is the goodbye
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        leaving.cancel()
