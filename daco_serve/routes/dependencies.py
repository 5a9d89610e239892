"""What every route needs of the application."""

from typing import Annotated

from fastapi import Depends, Request

from daco_serve.service import Service


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
