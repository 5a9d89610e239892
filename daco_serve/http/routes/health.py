"""`/healthz`: the process lives. `/readyz`: it answers queries."""

from fastapi import APIRouter

from daco_serve.http.answers import index_state
from daco_serve.http.refusals import documented
from daco_serve.http.routes.dependencies import ServiceOf
from daco_serve.http.schemas import Health, Ready

router = APIRouter(tags=["health"])

UNREADY = ("not_ready", "index_unavailable", "store_away", "decoder_failed", "encoder_failed")


@router.get("/healthz", summary="Does the process answer")
async def health() -> Health:
    """200 as long as the process runs."""
    return Health()


@router.get(
    "/readyz",
    summary="Does it answer queries",
    responses=documented(*UNREADY),
)
async def ready(service: ServiceOf) -> Ready:
    """200 once the index that answers by default is loaded, and its encoder warm; 503 before, and while its Milvus
    server is away. `/v1/indexes` says how the others are."""
    await service.check()
    return Ready(index=index_state(service.live.summary))
