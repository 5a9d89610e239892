"""Additions to FastAPI's OpenAPI document: formats of answers, and names of operations."""

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
    """A reference to the schema of one of the FORMS among the document's components."""
    return {"$ref": REFERENCE.format(model=form.__name__)}


def operation_id(route: APIRoute) -> str:
    """The name of an operation's function in generated clients: that of the route's function, which is unique."""
    return route.name


def add_forms(app: FastAPI) -> None:
    """Adds the schemas of the formats other than JSON to the document."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _, defined = models_json_schema([(form, "serialization") for form in FORMS], ref_template=REFERENCE)
        for name, schema in defined["$defs"].items():
            schemas.setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
