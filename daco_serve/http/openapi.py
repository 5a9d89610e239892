"""What the OpenAPI document says besides what FastAPI finds by itself: forms of answers, and names of operations."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from daco_serve.http.geojson import FeatureCollection
from daco_serve.http.geopose import BasicQuaternion, BasicYpr

REFERENCE = "#/components/schemas/{model}"
FORMS: tuple[type[BaseModel], ...] = (FeatureCollection, BasicYpr, BasicQuaternion)


def reference_to(form: type[BaseModel]) -> dict[str, Any]:
    """The schema of one of the FORMS, as a reference to the document's components."""
    return {"$ref": REFERENCE.format(model=form.__name__)}


def operation_id(route: APIRoute) -> str:
    """The name by which a generator calls the function of an operation: that of ours, which is unique."""
    return route.name


def describe_forms(app: FastAPI) -> None:
    """Has the document define the forms that answers have besides JSON."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _, defined = models_json_schema([(form, "serialization") for form in FORMS], ref_template=REFERENCE)
        for name, schema in defined["$defs"].items():
            schemas.setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
