"""The schemas of answers, as pydantic models with examples; angles in degrees, WGS 84, lengths in metres."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from daco_serve.engine.answers import CalibrationKind, Verdict

LATITUDE = "Null if the references are in a local frame without an anchor."
ALTITUDE = "Metres, in the datum of the references, usually above the sea; null if unknown."
HEADING = "Degrees clockwise from north; in a local frame without an anchor, from its y axis."


class Schema(BaseModel):
    """A model that is built on first use, so that importing the client is quick."""

    model_config = ConfigDict(defer_build=True)


class Prior(Schema):
    """Where the query is known to have been taken: within some metres of a point.

    Either latitude and longitude; or frame, x and y of a point in a local frame.
    """

    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    metres: float = Field(gt=0, allow_inf_nan=False)
    frame: str | None = Field(default=None, min_length=1, max_length=200, description="Name of a local frame.")
    x: float | None = Field(default=None, allow_inf_nan=False, description="Metres in it.")
    y: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_one_point(self) -> Self:
        given = [value is not None for value in (self.latitude, self.longitude, self.frame, self.x, self.y)]
        if given not in ([True, True, False, False, False], [False, False, True, True, True]):
            raise ValueError("needs either latitude and longitude, or frame, x and y")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `latitude,longitude,metres` or `frame:x,y,metres`.

        Raises:
            ValueError: it is neither; its subclass ValidationError, if a number is out of bounds.
        """
        frame, colon, rest = text.rpartition(":")
        parts = rest.split(",")
        if len(parts) != 3 or (colon and not frame):
            raise ValueError("it is neither latitude,longitude,metres nor frame:x,y,metres")
        names = ("x", "y", "metres") if frame else ("latitude", "longitude", "metres")
        return cls.model_validate(dict(zip(names, parts, strict=True)) | ({"frame": frame} if frame else {}))

    def as_text(self) -> str:
        """The inverse of `parse`."""
        if self.frame is not None:
            return f"{self.frame}:{self.x},{self.y},{self.metres}"
        return f"{self.latitude},{self.longitude},{self.metres}"


class MatchedCell(Schema):
    """A point of the query and the matching point of the reference photograph."""

    query_x: float = Field(ge=0, le=1, description="Fraction of the width, from the left.")
    query_y: float = Field(ge=0, le=1, description="Fraction of the height, from the top.")
    reference_x: float = Field(ge=0, le=1)
    reference_y: float = Field(ge=0, le=1)
    strength: float = Field(ge=0, le=1, description="Its weight in the votes.")


class LocalPosition(Schema):
    """Metres in a local frame, such as that of a building."""

    frame: str = Field(description="The name of the frame; local unless the references give another.")
    x: float
    y: float
    z: float | None = Field(description="Upwards; null if unknown.")


class Match(Schema):
    """A reference photograph that is similar to the query."""

    rank: int = Field(ge=1, description="1 for the best.")
    id: int = Field(description="Id of the reference photograph, unique in this index.")
    place: str = Field(description="The name of its place.")
    similarity: float = Field(description="Cosine similarity of the two descriptors: 1 for equal ones.")
    votes: float | None = Field(
        default=None,
        description="Cells of the query that agree with this photograph on one displacement; null if it was not"
        " re-ranked.",
    )
    score: float = Field(description="Determines the rank: similarity + 0.01 votes; or similarity if not re-ranked.")
    latitude: float | None
    longitude: float | None
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=HEADING)
    floor: str | None = Field(default=None, description="The name of the floor.")
    local: LocalPosition | None = Field(default=None, description="Null if it has no local position.")
    image: str = Field(description="Address of the photograph on this server.")
    file: str | None = Field(
        default=None,
        description="The file's path relative to the indexed folder; null unless the server names files.",
    )
    cells: list[MatchedCell] | None = Field(
        default=None, description="The cells that agree, strongest first; null unless requested with cells=true."
    )


class Location(Schema):
    """The position of the answer's place: on the earth, in a local frame, or in both."""

    latitude: float | None = Field(description=LATITUDE)
    longitude: float | None = Field(description=LATITUDE)
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=f"{HEADING} Null if the matches have none, or disagree.")
    floor: str | None = Field(default=None, description="The name of the floor.")
    local: LocalPosition | None = Field(default=None, description="Null if the matches have no local position.")
    uncertainty_metres: float = Field(
        description="Radius around the position: if calibrated, it contains the true position in 68 of 100 cases; "
        "else an estimate from the spread of the matches."
    )
    probability: float | None = Field(
        default=None, description="Probability that the position is right within 25 m; that of the answer."
    )
    calibrated: bool = Field(default=False, description="Whether the radius is calibrated.")
    place: str = Field(description="That of the answer.")
    support: int = Field(description="That of the answer.")


class Timings(Schema):
    """Milliseconds on the server."""

    decode_ms: float = Field(description="From the file's bytes to the input of the encoder.")
    embed_ms: float = Field(description="The encoder, including the wait for it.")
    search_ms: float
    rerank_ms: float = Field(description="Re-ranking, and estimating the location.")
    total_ms: float = Field(description="From the request's first byte to the answer, including the upload.")


class IndexState(Schema):
    """The index that answers."""

    name: str = Field(description="Its name, by which a query selects it.")
    generation: int
    count: int = Field(description="Number of reference photographs.")
    backbone: str = Field(description="The backbone of its encoder.")
    encoder: str = Field(description="The fingerprint of its encoder.")
    calibrated: CalibrationKind | None = Field(
        description="The origin of its probabilities: own, a calibration for this index by queries (daco-bench"
        " calibrate); self, one by copies of its own photographs (daco-bench calibrate --self); prior, shipped with its"
        " encoder; null: there is none for such an answer, which is then uncalibrated. A calibration that was fitted"
        " with re-ranking does not apply with rerank=0."
    )
    reranks: bool = Field(description="Whether it has local descriptors for re-ranking.")


class Bounds(Schema):
    """A box of latitudes and longitudes."""

    south: float
    west: float
    north: float
    east: float


EXAMPLE_MATCH: dict[str, JsonValue] = {
    "rank": 1,
    "id": 7,
    "place": "harbour/12",
    "similarity": 0.8731,
    "votes": 61.4,
    "score": 3.9431,
    "latitude": 35.658581,
    "longitude": 139.745433,
    "altitude": 31.2,
    "heading": 112.0,
    "floor": None,
    "local": None,
    "image": "/v1/references/7/image",
    "file": None,
}


class QueryAnswer(Schema):
    """The estimated place and its probability; then the matches."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "verdict": "located",
                "on_map": 0.98,
                "place": "harbour/12",
                "probability": 0.91,
                "support": 1,
                "considered": 10,
                "best": EXAMPLE_MATCH,
                "location": {
                    "latitude": 35.658579,
                    "longitude": 139.745436,
                    "altitude": 31.2,
                    "heading": 112.0,
                    "floor": None,
                    "local": None,
                    "uncertainty_metres": 12.4,
                    "probability": 0.91,
                    "calibrated": True,
                    "place": "harbour/12",
                    "support": 1,
                },
                "matches": [EXAMPLE_MATCH],
                "warnings": [],
                "timings": {"decode_ms": 8.1, "embed_ms": 21.7, "search_ms": 0.3, "rerank_ms": 4.4, "total_ms": 35.4},
                "index": {
                    "name": "day",
                    "generation": 1,
                    "count": 200,
                    "backbone": "resnet50",
                    "encoder": "9f2c61d0",
                    "calibrated": "own",
                    "reranks": True,
                },
            }
        }
    )

    verdict: Verdict = Field(
        description="located; uncalibrated: the most similar place, with unknown probability; not_on_map:"
        " the place is probably not in this index; no_position: the place is known, but its position is not."
    )
    on_map: float | None = Field(
        description="The probability that the place is on this map; null without a calibration."
    )
    place: str | None = Field(description="The place that the query shows; null if it is not on the map.")
    probability: float | None = Field(
        description="Probability that the place is right: within 25 m, or by name if there are no positions; null"
        " without a calibration."
    )
    support: int = Field(description="Number of the considered matches that show this place.")
    considered: int = Field(description="Number of matches that the estimate is based on, whatever k.")
    best: Match | None = Field(
        description="The most similar match of this place; not always the first, nor always among matches."
    )
    location: Location | None = Field(description="The position of the place; null if unknown, or not on the map.")
    matches: list[Match] = Field(description="Best first.")
    warnings: list[str] = Field(
        default=[],
        description="What is unusual about the photograph, such as that it looks like a 360-degree panorama.",
    )
    timings: Timings
    index: IndexState


class IndexAnswer(IndexState):
    """One of the indexes of this server."""

    located: int = Field(description="Number of reference photographs with a position.")
    bounds: Bounds | None = Field(description="The box around their positions; null if there are none.")
    created: str = Field(description="When this generation was published: UTC, ISO 8601.")
    problem: str | None = Field(description="Why a newer generation could not be loaded; null if there is none.")
    places: int = Field(description="Number of places.")
    place_examples: list[str] = Field(description="Names of two of them: the first and the last by name.")


class FailedIndex(Schema):
    """An index that cannot be used."""

    name: str
    reason: str = Field(description="Why it cannot be opened; the server's log has details.")


class RequestLimits(Schema):
    """What this server accepts in one request."""

    max_k: int = Field(description="The largest k of a query.")
    photograph_bytes: int = Field(description="Largest photograph.")
    batch_photographs: int = Field(description="Largest number of photographs in one batch.")
    batch_bytes: int = Field(description="Largest size of a batch, all photographs together.")
    formats: list[str] = Field(default=[], description="Media types of the photographs that it reads.")


class IndexesAnswer(Schema):
    """The indexes of this server; the first one answers queries that name none."""

    indexes: list[IndexAnswer]
    failed: list[FailedIndex] = Field(description="Indexes that cannot be opened; a query in one gets status 503.")
    limits: RequestLimits


class CoverageAnswer(Schema):
    """The positions of an index's reference photographs."""

    # not tuples, because many readers of OpenAPI documents do not support their prefixItems
    positions: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        description="Latitude and longitude of each."
    )
    ids: list[int] = Field(description="The id of each reference photograph, for /v1/references.")


class Sample(Schema):
    """A sample photograph of an index."""

    name: str = Field(description="A file name for it.")
    image: str = Field(description="Address of the photograph on this server.")


class SamplesAnswer(Schema):
    """The sample photographs of an index."""

    samples: list[Sample]


class ReferenceAnswer(Schema):
    """The entry of one reference photograph."""

    id: int
    place: str
    latitude: float | None
    longitude: float | None
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=HEADING)
    floor: str | None = Field(default=None, description="The name of the floor.")
    local: LocalPosition | None = Field(default=None, description="Null if it has no local position.")
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    image: str = Field(description="Address of the photograph on this server.")
    file: str | None = Field(
        default=None,
        description="The file's path relative to the indexed folder; null unless the server names files.",
    )


class Health(Schema):
    """The process is running."""

    status: str = "ok"


class Ready(Schema):
    """The process can answer queries."""

    status: str = "ready"
    index: IndexState = Field(description="The default index, for queries that name none.")


class ErrorDetail(Schema):
    """An error."""

    code: str = Field(description="For programs; stable.")
    message: str = Field(description="For people: what is wrong, and what to do.")


class BatchItem(Schema):
    """The result for one photograph of a batch: an answer, or an error."""

    name: str | None = Field(description="The file's name, as the client sent it.")
    answer: QueryAnswer | None
    error: ErrorDetail | None


class BatchAnswer(Schema):
    """One result for each photograph, in order."""

    answers: list[BatchItem]


class ErrorAnswer(Schema):
    """The format of every error."""

    error: ErrorDetail
