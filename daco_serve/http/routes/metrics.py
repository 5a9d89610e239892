"""`/metrics`: the metrics for Prometheus."""

from fastapi import APIRouter, Request, Response

from daco_serve.operation.metrics import exposition

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "One sample a line."}},
)
def metrics(request: Request) -> Response:
    """Requests, errors by code, seconds by stage, batch sizes, queue, and the generation of each index."""
    content, content_type = exposition(request.headers.get("accept", ""))
    return Response(content, media_type=content_type)
