"""`/v1/references/{id}`: a reference photograph's entry in the index, and the photograph itself."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from daco_core.photographs.formats import FORMATS
from daco_core.photographs.formats import media_type as media_type_of
from daco_index.search.catalog import Entry
from daco_serve.engine.live_indexes import Live
from daco_serve.http.answers import file_name, image_address, position_of
from daco_serve.http.refusals import Refusal, documented
from daco_serve.http.routes.dependencies import IndexName, ServiceOf
from daco_serve.http.schemas import ReferenceAnswer

router = APIRouter(prefix="/v1/references", tags=["references"])

IMAGE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in sorted({one.media_type for one in FORMATS})}, "description": "The file."}
}


@router.get(
    "/{id}",
    summary="Get the place and position of a reference photograph",
    responses=documented("unknown_reference", "unknown_index", "not_ready", "index_unavailable"),
)
def reference(id: int, service: ServiceOf, index: IndexName = None) -> ReferenceAnswer:
    """The photograph's entry in the index."""
    live = service.choose(index)
    entry = _find(live, id)
    return ReferenceAnswer(
        id=entry.id,
        place=entry.place,
        **position_of(entry),
        width=entry.width,
        height=entry.height,
        image=image_address(service, live.name, entry.id),
        file=file_name(service, live.names, entry),
    )


@router.get(
    "/{id}/image",
    summary="Get a reference photograph",
    response_class=Response,
    responses={
        **IMAGE_ANSWERS,
        **documented(
            "unknown_reference",
            "unknown_index",
            "reference_gone",
            "reference_away",
            "invalid_request",
            "not_ready",
            "index_unavailable",
        ),
    },
)
async def reference_image(
    request: Request,
    id: int,
    service: ServiceOf,
    width: Annotated[
        int | None, Query(ge=16, le=2048, description="Return an upright JPEG of at most this width in pixels.")
    ] = None,
    index: IndexName = None,
) -> Response:
    """The file as it was indexed, or a thumbnail."""
    entry = await asyncio.to_thread(_find, service.choose(index), id)
    # a photograph may be removed from the index, so caches must revalidate their copy
    headers = {"ETag": f'"{entry.sha256[:32]}-{width or "file"}"', "Cache-Control": "no-cache"}
    if _is_known(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if width is not None:
        content = await service.references.thumbnail(entry, width)
        return Response(content, media_type="image/jpeg", headers=headers)
    file = await service.references.verified(entry)
    return FileResponse(file, media_type=media_type_of(file.suffix), headers=headers)


def _is_known(given: list[str], tag: str) -> bool:
    """Whether If-None-Match contains a tag: in a list, strong or weak, or `*` for any (RFC 9110, 13.1.2)."""
    known = [known.strip().removeprefix("W/") for field in given for known in field.split(",")]
    return tag in known or known == ["*"]


def _find(live: Live, id: int) -> Entry:
    found = live.bundle.catalog.get([id])
    if not found:
        raise Refusal("unknown_reference", f"The index has no reference photograph {id}.")
    return found[0]
