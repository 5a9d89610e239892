"""`POST /v1/query`: looks up a photograph; `POST /v1/query/batch`: looks up several."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from daco_core.photographs.formats import formats_in_words, readable_formats
from daco_serve.engine.answers import QueryOptions
from daco_serve.engine.live_indexes import Live
from daco_serve.engine.service import Service
from daco_serve.http.answers import query_answer, search_area
from daco_serve.http.formats import GEOJSON, GEOPOSE, JSON, choose, render
from daco_serve.http.geojson import FeatureCollection
from daco_serve.http.geopose import BasicQuaternion, BasicYpr
from daco_serve.http.middleware.rates import count_photographs
from daco_serve.http.openapi import reference_to
from daco_serve.http.refusals import Refusal, documented
from daco_serve.http.routes.concurrency import answer_each, unless_left
from daco_serve.http.routes.dependencies import AdmissionOf, IndexName, PriorGiven, ServiceOf
from daco_serve.http.schemas import BatchAnswer, BatchItem, ErrorDetail, QueryAnswer
from daco_serve.http.uploads.read import FIELD, Upload, read_upload, read_uploads

router = APIRouter(prefix="/v1", tags=["query"])

# the body is read by hand, to take both forms and to count while it streams, so OpenAPI is told by hand too
PHOTOGRAPH = {"type": "string", "format": "binary", "description": f"A photograph: {formats_in_words()}."}
FORM = {"type": "object", "properties": {FIELD: PHOTOGRAPH}, "required": [FIELD]}
SEVERAL = {"type": "object", "properties": {FIELD: {"type": "array", "items": PHOTOGRAPH}}, "required": [FIELD]}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": FORM},
        **{kind: {"schema": PHOTOGRAPH} for kind in sorted({one.media_type for one in readable_formats()})},
    },
}
BATCH_BODY = {"required": True, "content": {"multipart/form-data": {"schema": SEVERAL}}}
FULL = ("too_busy", "upload_gave_way", "upload_memory_full")
LOOKING_UP = (
    "bad_form",
    "upload_too_slow",
    "image_too_large",
    "not_an_image",
    "unsupported_format",
    "no_image",
    "image_truncated",
    "image_too_narrow",
    "image_too_slow",
    "unknown_index",
    "prior_holds_nothing",
    *FULL,
    "not_ready",
    "index_unavailable",
    "decoder_failed",
)
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "In the format that Accept prefers; GeoPose with profile=basic-quaternion instead of basic-YPR.",
        "content": {
            GEOJSON: {"schema": reference_to(FeatureCollection)},
            GEOPOSE: {"schema": {"anyOf": [reference_to(BasicYpr), reference_to(BasicQuaternion)]}},
        },
    }
}


async def _wanted(
    service: ServiceOf,
    k: Annotated[int | None, Query(ge=1, description="Number of matches; the server sets default and limit.")] = None,
) -> int:
    settings = service.settings
    wanted = settings.usual_k if k is None else k
    if wanted > settings.max_k:
        raise Refusal("bad_k", f"k must be a whole number from 1 to {settings.max_k}.")
    return wanted


async def _asked(
    service: ServiceOf,
    k: Annotated[int, Depends(_wanted)],
    prior: PriorGiven,
    rerank: Annotated[
        int | None,
        Query(
            ge=0,
            description="Number of candidates to re-rank by local descriptors; 0 for none. The server has a default"
            " and a limit.",
        ),
    ] = None,
    cells: Annotated[bool, Query(description="Include the cells of each match that agree with the query's.")] = False,
) -> QueryOptions:
    settings = service.settings
    candidates = settings.usual_rerank if rerank is None else rerank
    if candidates > settings.max_rerank:
        raise Refusal("bad_rerank", f"rerank must be a whole number from 0 to {settings.max_rerank}.")
    return QueryOptions(k, search_area(prior), candidates, cells)


async def _chosen(service: ServiceOf, index: IndexName = None) -> Live:
    return service.choose(index)


Asked = Annotated[QueryOptions, Depends(_asked)]
Chosen = Annotated[Live, Depends(_chosen)]


@router.post(
    "/query",
    summary="Find where a photograph was taken",
    response_model=QueryAnswer,
    responses={
        **FORMS,
        **documented(
            *LOOKING_UP, "bad_k", "bad_rerank", "bad_prior", "not_acceptable", "head_too_large", "not_located"
        ),
    },
    openapi_extra={"requestBody": BODY},
)
async def query(
    request: Request, service: ServiceOf, admission: AdmissionOf, asked: Asked, live: Chosen
) -> QueryAnswer | Response:
    """The reference photographs most similar to the one sent, and the estimated location.

    Send it as a form, `curl -F image=@night.jpg 'ADDRESS/v1/query?k=5'`, or as the body itself,
    `curl --data-binary @night.jpg -H 'Content-Type: image/jpeg' 'ADDRESS/v1/query?k=5'`.
    """
    began = time.perf_counter()
    settings = service.settings
    form = choose(request.headers.get("accept"))
    with admission.place(request) as place:
        upload = await read_upload(request, place, settings.max_upload_bytes, settings.upload_seconds)
        await count_photographs(request, [upload])
        found = await unless_left(request, service.answer(live, upload, asked, began, client=place.client))
    answer = query_answer(found, service, upload)
    vary = {"Vary": "Accept"}
    if form == JSON:
        return Response(answer.model_dump_json(), media_type=JSON, headers=vary)
    return JSONResponse(render(answer, form), media_type=form, headers=vary)


@router.post(
    "/query/batch",
    summary="Find where each of several photographs was taken",
    responses=documented(
        "bad_form",
        "upload_too_slow",
        "image_too_large",
        "no_image",
        "bad_k",
        "bad_rerank",
        "unknown_index",
        "bad_prior",
        *FULL,
        "not_ready",
        "index_unavailable",
    ),
    openapi_extra={"requestBody": BATCH_BODY},
)
async def query_batch(
    request: Request, service: ServiceOf, admission: AdmissionOf, asked: Asked, live: Chosen
) -> BatchAnswer:
    """One result for each photograph, in order: the answer of `/v1/query`, or an error.

    `curl -F image=@one.jpg -F image=@two.jpg ADDRESS/v1/query/batch`
    """
    began = time.perf_counter()
    with admission.place(request) as place:
        uploads, _ = await read_uploads(request, place, service.settings)
        await count_photographs(request, [upload.content for upload in uploads])
        return await unless_left(request, _answer_all(service, live, uploads, asked, began, place.client))


async def _answer_all(
    service: Service, live: Live, uploads: list[Upload], asked: QueryOptions, began: float, client: str
) -> BatchAnswer:
    async def look_up(number: int) -> QueryAnswer:
        answer = await service.answer(live, uploads[number].content, asked, began, client=client)
        return query_answer(answer, service, uploads[number].content)

    answers = await answer_each(uploads, look_up)
    return BatchAnswer(
        answers=[
            BatchItem(name=upload.name, answer=None, error=answer)
            if isinstance(answer, ErrorDetail)
            else BatchItem(name=upload.name, answer=answer, error=None)
            for upload, answer in zip(uploads, answers, strict=True)
        ]
    )
