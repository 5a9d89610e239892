"""`/v1/indexes`: the indexes of this server."""

from dataclasses import asdict
from urllib.parse import quote

from fastapi import APIRouter, Response

from daco_core.photographs.formats import readable_formats
from daco_serve.engine.live_indexes import Live
from daco_serve.http.middleware.rates import limits_of
from daco_serve.http.refusals import Refusal, documented
from daco_serve.http.routes.dependencies import ServiceOf
from daco_serve.http.schemas import (
    Bounds,
    CoverageAnswer,
    FailedIndex,
    IndexAnswer,
    IndexesAnswer,
    RequestLimits,
    Sample,
    SamplesAnswer,
)
from daco_serve.operation.settings import ServeSettings

MOST_POSITIONS = 4000
NOT_TO_BE_HAD = ("unknown_index", "not_ready", "index_unavailable")

router = APIRouter(prefix="/v1/indexes", tags=["indexes"])


@router.get("", summary="List the indexes")
async def list_indexes(service: ServiceOf) -> IndexesAnswer:
    """The loaded indexes, and those that failed with the reason; one that is still being loaded is left out."""
    known = list(service.indexes.values())
    return IndexesAnswer(
        indexes=[_answer(index.live, index.problem) for index in known if index.loaded],
        failed=[FailedIndex(name=one.name, reason=one.problem) for one in known if not one.loaded and one.problem],
        limits=_limits(service.settings),
    )


@router.get("/{name}/coverage", summary="Where an index has photographs", responses=documented(*NOT_TO_BE_HAD))
def index_coverage(name: str, service: ServiceOf) -> CoverageAnswer:
    """Positions of the reference photographs, thinned to a few thousand: enough to draw the streets of the map."""
    located = service.choose(name).bundle.catalog.positions(MOST_POSITIONS)
    return CoverageAnswer(positions=[[*place] for _, *place in located], ids=[id for id, *_ in located])


@router.get("/{name}/samples", summary="List sample photographs of an index", responses=documented(*NOT_TO_BE_HAD))
def index_samples(name: str, service: ServiceOf) -> SamplesAnswer:
    """The samples that the index was built with (`daco-index build --samples`); often none."""
    live = service.choose(name)
    address = f"/v1/indexes/{quote(live.name, safe='')}/samples"
    numbers = range(1, len(live.bundle.samples) + 1)
    return SamplesAnswer(
        samples=[Sample(name=f"sample-{number}.jpg", image=f"{address}/{number}") for number in numbers]
    )


@router.get(
    "/{name}/samples/{number}",
    summary="Get a sample photograph",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **documented(*NOT_TO_BE_HAD, "not_found")},
)
def index_sample(name: str, number: int, service: ServiceOf) -> Response:
    """The photograph, as a JPEG."""
    known = service.choose(name).bundle.samples
    if not 1 <= number <= len(known):
        raise Refusal("not_found", f"This index has {len(known)} samples.")
    return Response(known[number - 1], media_type="image/jpeg")


def _limits(settings: ServeSettings) -> RequestLimits:
    rate = limits_of(settings).get("query")  # each photograph of a batch counts as one query
    return RequestLimits(
        max_k=settings.max_k,
        photograph_bytes=settings.max_upload_bytes,
        batch_photographs=settings.max_images if rate is None else min(settings.max_images, rate.amount),
        batch_bytes=settings.max_batch_bytes,
        formats=[one.media_type for one in readable_formats()],
    )


def _answer(live: Live, problem: str | None) -> IndexAnswer:
    manifest, places = live.bundle.manifest, live.bundle.catalog.places
    return IndexAnswer(
        **asdict(live.summary),
        located=manifest.with_location,
        bounds=None if manifest.bounds is None else Bounds(**asdict(manifest.bounds)),
        created=manifest.created,
        problem=problem,
        places=places.total,
        place_examples=[*dict.fromkeys(name for name in (places.first, places.last) if name is not None)],
    )
