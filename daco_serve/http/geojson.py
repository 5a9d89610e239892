"""Answers as GeoJSON (RFC 7946): a FeatureCollection with the location and the matches; and its schema for OpenAPI."""

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from daco_core.photographs.coordinates import geojson_point
from daco_serve.engine.answers import Verdict
from daco_serve.http.schemas import IndexState, Location, Match, QueryAnswer, Schema

IN_GEOMETRY = ("latitude", "longitude")  # a feature has these as its geometry, not as properties


class Point(Schema):
    """A point on the earth."""

    type: Literal["Point"]
    coordinates: list[float] = Field(
        min_length=2,
        max_length=3,
        description="Longitude, latitude (WGS 84, degrees), and the altitude in metres if known.",
    )


def _properties(name: str, role: str, schema: type[BaseModel]) -> type[BaseModel]:
    """The fields of a part of an answer as properties of a feature, preceded by its role."""
    fields: dict[str, Any] = {
        field: (info.annotation, info) for field, info in schema.model_fields.items() if field not in IN_GEOMETRY
    }
    fields = {"role": (Literal[role], ...), **fields}
    return create_model(name, __base__=Schema, __doc__=schema.__doc__, **fields)


LocationProperties = _properties("LocationProperties", "location", Location)
MatchProperties = _properties("MatchProperties", "match", Match)


class Feature(Schema):
    """The location or a match; without a position it has no geometry."""

    type: Literal["Feature"]
    geometry: Point | None
    properties: LocationProperties | MatchProperties = Field(discriminator="role")  # type: ignore[valid-type]


class FeatureCollection(Schema):
    """The location first, if there is one, then the matches; with the other fields of the answer."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
    verdict: Verdict
    on_map: float | None
    place: str | None
    probability: float | None
    support: int
    considered: int
    index: IndexState


def to_geojson(answer: QueryAnswer) -> dict[str, Any]:
    """A FeatureCollection: the location first, if there is one, then the matches; no geometry without a position."""
    features = [] if answer.location is None else [_feature("location", answer.location)]
    return {
        "type": "FeatureCollection",
        "features": [*features, *(_feature("match", match) for match in answer.matches)],
        **answer.model_dump(include={"verdict", "on_map", "place", "probability", "support", "considered"}),
        "index": answer.index.model_dump(),
    }


def _feature(role: str, what: Location | Match) -> dict[str, Any]:
    geometry = geojson_point(what.latitude, what.longitude, what.altitude)
    properties = {"role": role, **what.model_dump(exclude=set(IN_GEOMETRY))}
    return {"type": "Feature", "geometry": geometry, "properties": properties}
