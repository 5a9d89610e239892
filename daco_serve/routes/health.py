"""`/healthz`: the process lives. `/readyz`: it answers queries."""

from fastapi import APIRouter

from daco_serve.errors import Refusal, documented
from daco_serve.routes.dependencies import ServiceOf
from daco_serve.schemas import Health, Ready

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Does the process answer")
async def health() -> Health:
    """200 as long as the process runs."""
    return Health()


@router.get("/readyz", summary="Does it answer queries", responses=documented("not_ready"))
async def ready(service: ServiceOf) -> Ready:
    """200 once every index and its encoder are loaded and warm, 503 before."""
    if not service.ready:
        raise Refusal("not_ready")
    return Ready(index=service.live.state)
