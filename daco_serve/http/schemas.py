"""What goes out, as pydantic models with examples; angles in degrees, WGS 84, lengths in metres."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["located", "not_on_map", "no_position"]


class Prior(BaseModel):
    """What is known of where the query was taken: within so many metres of a point."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    metres: float = Field(gt=0, allow_inf_nan=False)


class Match(BaseModel):
    """A reference photograph that looks like the query."""

    rank: int = Field(ge=1, description="1 for the most similar.")
    id: int = Field(description="Of the reference photograph; this index gives it to no other.")
    place: str = Field(description="The name of the place that it shows.")
    similarity: float = Field(description="Cosine of the two descriptors: 1 for equal ones.")
    latitude: float | None
    longitude: float | None
    heading: float | None = Field(description="Degrees clockwise from north.")
    image: str = Field(description="Address of the photograph on this server.")


class Location(BaseModel):
    """Where the query was probably taken."""

    latitude: float
    longitude: float
    heading: float | None = Field(description="Degrees clockwise from north, where the matches have one and agree.")
    uncertainty_metres: float = Field(
        description="Radius around the position: calibrated, the truth is within it in 68 of 100 cases; else an"
        " estimate from how far apart the matches lie."
    )
    probability: float | None = Field(
        default=None, description="That the position is right within 25 m; null where nothing is calibrated."
    )
    calibrated: bool = Field(default=False, description="Whether the radius is.")
    place: str = Field(description="The place of the best match at this location.")
    support: int = Field(description="How many matches lie at this location.")


class Timings(BaseModel):
    """Milliseconds on the server."""

    decode_ms: float = Field(description="From bytes to the tensor that the encoder takes.")
    embed_ms: float = Field(description="The encoder, with the wait for it.")
    search_ms: float
    total_ms: float = Field(description="From the request's first byte to the answer, the upload included.")


class IndexState(BaseModel):
    """The index that answers."""

    name: str = Field(description="By which a query chooses it.")
    generation: int
    count: int = Field(description="Reference photographs in it.")
    backbone: str = Field(description="Of its encoder.")
    encoder: str = Field(description="Fingerprint of its encoder.")
    calibrated: bool = Field(description="Whether its answers say how likely they are right (daco-bench calibrate).")


class Bounds(BaseModel):
    """A box of latitudes and longitudes."""

    south: float
    west: float
    north: float
    east: float


class QueryAnswer(BaseModel):
    """Ranked matches, and the one location that follows from them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "matches": [
                    {
                        "rank": 1,
                        "id": 7,
                        "place": "harbour/12",
                        "similarity": 0.8731,
                        "latitude": 35.658581,
                        "longitude": 139.745433,
                        "heading": 112.0,
                        "image": "/v1/references/7/image",
                    }
                ],
                "verdict": "located",
                "on_map": 0.98,
                "location": {
                    "latitude": 35.658579,
                    "longitude": 139.745436,
                    "heading": 112.0,
                    "uncertainty_metres": 12.4,
                    "probability": 0.91,
                    "calibrated": True,
                    "place": "harbour/12",
                    "support": 1,
                },
                "timings": {"decode_ms": 8.1, "embed_ms": 21.7, "search_ms": 0.3, "total_ms": 31.0},
                "index": {
                    "name": "day",
                    "generation": 1,
                    "count": 200,
                    "backbone": "resnet50",
                    "encoder": "9f2c61d0",
                    "calibrated": True,
                },
            }
        }
    )

    matches: list[Match]
    verdict: Verdict = Field(
        description="located; not_on_map: the place is probably none of this index's; no_position: no match has one."
    )
    on_map: float | None = Field(
        description="The probability that the place is on this map; null where nothing is calibrated."
    )
    location: Location | None = Field(description="null unless the verdict is located.")
    timings: Timings
    index: IndexState


class IndexAnswer(IndexState):
    """One of the indexes that this server answers from."""

    located: int = Field(description="Reference photographs whose position is known.")
    bounds: Bounds | None = Field(description="The box that holds them; null where no position is known.")
    created: str = Field(description="When this generation was published: UTC, ISO 8601.")


class IndexesAnswer(BaseModel):
    """The indexes of this server; a query that names none is answered by the first."""

    indexes: list[IndexAnswer]


class CoverageAnswer(BaseModel):
    """Where an index has reference photographs."""

    # not tuples: their prefixItems trip many readers of OpenAPI documents
    positions: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        description="Latitude and longitude of each."
    )


class ReferenceAnswer(BaseModel):
    """What is known of one reference photograph."""

    id: int
    place: str
    latitude: float | None
    longitude: float | None
    heading: float | None
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    image: str = Field(description="Address of the photograph on this server.")


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Ready(BaseModel):
    """The process answers queries."""

    status: str = "ready"
    index: IndexState = Field(description="The one that answers a query which names none.")


class ErrorDetail(BaseModel):
    """Why a request was refused."""

    code: str = Field(description="For programs; does not change.")
    message: str = Field(description="For people: what is wrong, and what to do.")


class BatchItem(BaseModel):
    """What became of one photograph of a batch: an answer, or an error."""

    name: str | None = Field(description="Of the file, as its sender gave it.")
    answer: QueryAnswer | None
    error: ErrorDetail | None


class BatchAnswer(BaseModel):
    """One for each photograph, in their order."""

    answers: list[BatchItem]


class ErrorAnswer(BaseModel):
    """The form of every error."""

    error: ErrorDetail
