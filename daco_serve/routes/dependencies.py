"""What every route needs of the application."""

from typing import Annotated

from fastapi import Depends, Query, Request

from daco_serve.service import Service


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
IndexName = Annotated[str | None, Query(description="Which index, as /v1/indexes names it; the first unless given.")]
