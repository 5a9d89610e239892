"""Dependencies that all routes share."""

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import ValidationError

from daco_serve.engine.service import Service
from daco_serve.http.refusals import Refusal
from daco_serve.http.schemas import Prior
from daco_serve.http.uploads.admission import Admission


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _admission(request: Request) -> Admission:
    admission: Admission = request.app.state.admission
    return admission


ServiceOf = Annotated[Service, Depends(_service)]
AdmissionOf = Annotated[Admission, Depends(_admission)]
IndexName = Annotated[str | None, Query(description="Name of the index, see /v1/indexes; the first by default.")]


async def _prior(
    prior: Annotated[
        str | None,
        Query(
            description="Search only within this circle: latitude,longitude,metres, or frame:x,y,metres in a local"
            " frame; everywhere by default.",
            examples=["35.6586,139.7454,200"],
        ),
    ] = None,
) -> Prior | None:
    if prior is None:
        return None
    try:
        return Prior.parse(prior)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{first['loc'][0]} " if first["loc"] else ""
        raise Refusal("bad_prior", f"prior: {where}{first['msg'].lower()}.") from error
    except ValueError as error:
        raise Refusal("bad_prior") from error


PriorGiven = Annotated[Prior | None, Depends(_prior)]
