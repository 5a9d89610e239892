"""`/healthz`: the process is running. `/readyz`: it can answer queries."""

from fastapi import APIRouter

from daco_serve.http.answers import index_state
from daco_serve.http.refusals import documented
from daco_serve.http.routes.dependencies import ServiceOf
from daco_serve.http.schemas import Health, Ready

router = APIRouter(tags=["health"])

UNREADY = ("not_ready", "index_unavailable", "store_away", "decoder_failed", "encoder_failed")


@router.get("/healthz", summary="Is the process running")
async def health() -> Health:
    """200 as long as the process runs."""
    return Health()


@router.get(
    "/readyz",
    summary="Can it answer queries",
    responses=documented(*UNREADY),
)
async def ready(service: ServiceOf) -> Ready:
    """200 if the default index is loaded and its encoder warmed up; 503 before that, and while its Milvus server does
    not respond. `/v1/indexes` has the state of the others."""
    await service.check()
    return Ready(index=index_state(service.live.summary))
