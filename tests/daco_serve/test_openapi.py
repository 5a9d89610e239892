"""The OpenAPI document is suitable for generating clients."""

import re
from typing import Any

from daco_serve.http.app import create_app
from daco_serve.http.formats import GEOJSON, GEOPOSE
from daco_serve.operation.settings import ServeSettings

DOCUMENT = create_app(ServeSettings(index=("none",))).openapi()


def operations() -> list[dict[str, Any]]:
    return [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]


def test_operation_ids_are_unique_function_names() -> None:
    names = [operation["operationId"] for operation in operations()]
    assert len(names) == len(set(names)) >= 12
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    assert {"query", "query_batch", "query_sequence", "reference_image", "geopose"} <= set(names)


def references(content: Any) -> set[str]:
    """All that a part of the document refers to."""
    if isinstance(content, dict):
        own = {content["$ref"]} if isinstance(content.get("$ref"), str) else set()
        return own.union(*map(references, content.values()))
    return set().union(*map(references, content)) if isinstance(content, list) else set()


def test_every_reference_in_the_document_has_a_schema() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in references(DOCUMENT)} <= set(schemas)


def test_geojson_and_geopose_have_schemas() -> None:
    content = DOCUMENT["paths"]["/v1/query"]["post"]["responses"]["200"]["content"]
    assert content[GEOJSON]["schema"] == {"$ref": "#/components/schemas/FeatureCollection"}
    assert [one["$ref"].rpartition("/")[2] for one in content[GEOPOSE]["schema"]["anyOf"]] == [
        "BasicYpr",
        "BasicQuaternion",
    ]
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Feature"]["properties"]["geometry"]["anyOf"][0] == {"$ref": "#/components/schemas/Point"}
    assert {"role", "image", "file", "similarity"} <= set(schemas["MatchProperties"]["properties"])
    assert set(schemas["BasicYpr"]["required"]) == {"position", "angles"}
