"""`/v1/indexes`: what this server can look in."""

from dataclasses import asdict

from fastapi import APIRouter

from daco_serve.engine.live_indexes import Live
from daco_serve.http.refusals import documented
from daco_serve.http.routes.dependencies import ServiceOf
from daco_serve.http.schemas import Bounds, CoverageAnswer, IndexAnswer, IndexesAnswer

MOST_POSITIONS = 4000

router = APIRouter(prefix="/v1/indexes", tags=["indexes"])


@router.get("", summary="The indexes to look in")
async def indexes(service: ServiceOf) -> IndexesAnswer:
    """Those that answer; one that is still being loaded is left out."""
    return IndexesAnswer(indexes=[_answer(index.live) for index in service.indexes.values() if index.loaded])


@router.get("/{name}/coverage", summary="Where an index has photographs", responses=documented("unknown_index"))
def coverage(name: str, service: ServiceOf) -> CoverageAnswer:
    """Positions of the reference photographs, thinned to some thousands: enough to draw the map's streets."""
    return CoverageAnswer(
        positions=[list(place) for place in service.choose(name).bundle.catalog.positions(MOST_POSITIONS)]
    )


def _answer(live: Live) -> IndexAnswer:
    manifest = live.bundle.manifest
    return IndexAnswer(
        **asdict(live.summary),
        located=manifest.with_location,
        bounds=None if manifest.bounds is None else Bounds(**asdict(manifest.bounds)),
        created=manifest.created,
    )
