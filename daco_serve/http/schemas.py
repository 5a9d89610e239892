"""What goes out, as pydantic models with examples; angles in degrees, WGS 84, lengths in metres."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from daco_serve.engine.answers import CalibrationKind, Verdict

LATITUDE = "Null where the references are in a local frame that nothing ties to the earth."
ALTITUDE = "Metres, in the datum of the references, usually above the sea; null where not known."
HEADING = "Degrees clockwise from north; in a local frame that nothing ties to the earth, from its y axis."


class Schema(BaseModel):
    """A model that is built when it is first used, so that importing the client is quick."""

    model_config = ConfigDict(defer_build=True)


class Prior(Schema):
    """What is known of where the query was taken: within so many metres of a point.

    Either latitude and longitude, or frame, x and y of a point in a local frame.
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
        """From `latitude,longitude,metres` or `frame:x,y,metres`.

        Raises:
            ValueError: it is neither; a ValidationError, which is one, where a number is out of bounds.
        """
        frame, colon, rest = text.rpartition(":")
        parts = rest.split(",")
        if len(parts) != 3 or (colon and not frame):
            raise ValueError("it is neither latitude,longitude,metres nor frame:x,y,metres")
        names = ("x", "y", "metres") if frame else ("latitude", "longitude", "metres")
        return cls.model_validate(dict(zip(names, parts, strict=True)) | ({"frame": frame} if frame else {}))

    def as_text(self) -> str:
        """As `parse` takes it."""
        if self.frame is not None:
            return f"{self.frame}:{self.x},{self.y},{self.metres}"
        return f"{self.latitude},{self.longitude},{self.metres}"


class MatchedCell(Schema):
    """A spot of the query and the one of the reference photograph that shows the same, if the match is right."""

    query_x: float = Field(ge=0, le=1, description="Fraction of the width, from the left.")
    query_y: float = Field(ge=0, le=1, description="Fraction of the height, from the top.")
    reference_x: float = Field(ge=0, le=1)
    reference_y: float = Field(ge=0, le=1)
    strength: float = Field(ge=0, le=1, description="How much it counts among the votes.")


class LocalPosition(Schema):
    """Metres in a local frame, such as that of a building."""

    frame: str = Field(description="Its name; local unless the references give another.")
    x: float
    y: float
    z: float | None = Field(description="Upwards; null where not known.")


class Match(Schema):
    """A reference photograph that looks like the query."""

    rank: int = Field(ge=1, description="1 for the best.")
    id: int = Field(description="Of the reference photograph; this index gives it to no other.")
    place: str = Field(description="The name of the place that it shows.")
    similarity: float = Field(description="Cosine of the two descriptors: 1 for equal ones.")
    votes: float | None = Field(
        default=None,
        description="Cells of the query that agree with this photograph on one displacement; null where it was not"
        " compared cell by cell.",
    )
    score: float = Field(description="What it is ranked by: similarity + 0.05 votes; where not compared, similarity.")
    latitude: float | None
    longitude: float | None
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=HEADING)
    floor: str | None = Field(default=None, description="The name of the storey.")
    local: LocalPosition | None = Field(default=None, description="Null where it has no local position.")
    image: str = Field(description="Address of the photograph on this server.")
    file: str | None = Field(
        default=None,
        description="The file's path below the folder that was indexed; null unless the server names files.",
    )
    cells: list[MatchedCell] | None = Field(
        default=None, description="The cells that agree, the strongest first; null unless cells=true asks for them."
    )


class Location(Schema):
    """Where the place is that the answer names: on the earth, in a local frame, or in both."""

    latitude: float | None = Field(description=LATITUDE)
    longitude: float | None = Field(description=LATITUDE)
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=f"{HEADING} Null where the matches have none, or disagree.")
    floor: str | None = Field(default=None, description="The name of the storey.")
    local: LocalPosition | None = Field(default=None, description="Null where the matches have no local position.")
    uncertainty_metres: float = Field(
        description="Radius around the position: if calibrated, it contains the true position in 68 of 100 cases; "
        "else an estimate from the spread of the matches."
    )
    probability: float | None = Field(
        default=None, description="That the position is right within 25 m: as the answer's."
    )
    calibrated: bool = Field(default=False, description="Whether the radius is.")
    place: str = Field(description="As the answer's.")
    support: int = Field(description="As the answer's.")


class Timings(Schema):
    """Milliseconds on the server."""

    decode_ms: float = Field(description="From bytes to the tensor that the encoder takes.")
    embed_ms: float = Field(description="The encoder, with the wait for it.")
    search_ms: float
    rerank_ms: float = Field(description="Comparing the first candidates cell by cell, and the location.")
    total_ms: float = Field(description="From the request's first byte to the answer, the upload included.")


class IndexState(Schema):
    """The index that answers."""

    name: str = Field(description="By which a query chooses it.")
    generation: int
    count: int = Field(description="Reference photographs in it.")
    backbone: str = Field(description="Of its encoder.")
    encoder: str = Field(description="Fingerprint of its encoder.")
    calibrated: CalibrationKind | None = Field(
        description="Where its probabilities come from: own, fitted on this index (daco-bench calibrate); prior,"
        " shipped with its encoder; null: there is none for such an answer, which is then uncalibrated. A calibration"
        " that was fitted with re-ranking is none for rerank=0."
    )
    reranks: bool = Field(description="Whether it has local descriptors, by which candidates are ranked again.")


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
    """The place that follows from the matches, and how sure that is; then the matches."""

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
        description="located; uncalibrated: what is most similar, but nothing says how likely it is right; not_on_map:"
        " the place is probably none of this index's; no_position: the place is known, its position is not."
    )
    on_map: float | None = Field(
        description="The probability that the place is on this map; null where nothing is calibrated."
    )
    place: str | None = Field(description="The place that the query shows; null where it is not on the map.")
    probability: float | None = Field(
        description="That the place is right: within 25 m, or by name where there are no positions; null where nothing"
        " is calibrated."
    )
    support: int = Field(description="How many of the considered matches show this place.")
    considered: int = Field(description="How many of the best matches had a say, whatever k.")
    best: Match | None = Field(
        description="The most similar match that shows this place; not always the first, nor always among matches."
    )
    location: Location | None = Field(description="Where the place is; null where it is not known, or not on the map.")
    matches: list[Match] = Field(description="The most similar first.")
    timings: Timings
    index: IndexState


class IndexAnswer(IndexState):
    """One of the indexes that this server answers from."""

    located: int = Field(description="Reference photographs whose position is known.")
    bounds: Bounds | None = Field(description="The box that holds them; null where no position is known.")
    created: str = Field(description="When this generation was published: UTC, ISO 8601.")
    problem: str | None = Field(
        description="Why a newer generation does not answer in its place; null where there is none."
    )
    places: int = Field(description="Places that its photographs show.")
    place_examples: list[str] = Field(description="Names of two of them, the first and the last by name.")


class FailedIndex(Schema):
    """An index that does not answer."""

    name: str
    reason: str = Field(description="Why it cannot be opened; the server's log says more.")


class RequestLimits(Schema):
    """What this server accepts in one request."""

    max_k: int = Field(description="Most matches that a query may ask for.")
    photograph_bytes: int = Field(description="Largest photograph.")
    batch_photographs: int = Field(description="Most photographs in one batch.")
    batch_bytes: int = Field(description="Largest batch, all its photographs together.")
    formats: list[str] = Field(default=[], description="Media types of the photographs that it reads.")


class IndexesAnswer(Schema):
    """The indexes of this server; a query that names none is answered by the first."""

    indexes: list[IndexAnswer]
    failed: list[FailedIndex] = Field(description="Those that cannot be opened; a query in one is answered with 503.")
    limits: RequestLimits


class CoverageAnswer(Schema):
    """Where an index has reference photographs."""

    # not tuples: their prefixItems trip many readers of OpenAPI documents
    positions: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        description="Latitude and longitude of each."
    )
    ids: list[int] = Field(description="The reference photograph of each, for /v1/references.")


class Sample(Schema):
    """A photograph to try an index with."""

    name: str = Field(description="A file name for it.")
    image: str = Field(description="Address of the photograph on this server.")


class SamplesAnswer(Schema):
    """The photographs to try an index with."""

    samples: list[Sample]


class ReferenceAnswer(Schema):
    """What is known of one reference photograph."""

    id: int
    place: str
    latitude: float | None
    longitude: float | None
    altitude: float | None = Field(default=None, description=ALTITUDE)
    heading: float | None = Field(description=HEADING)
    floor: str | None = Field(default=None, description="The name of the storey.")
    local: LocalPosition | None = Field(default=None, description="Null where it has no local position.")
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    image: str = Field(description="Address of the photograph on this server.")
    file: str | None = Field(
        default=None,
        description="The file's path below the folder that was indexed; null unless the server names files.",
    )


class Health(Schema):
    """The process answers."""

    status: str = "ok"


class Ready(Schema):
    """The process answers queries."""

    status: str = "ready"
    index: IndexState = Field(description="The one that answers a query which names none.")


class ErrorDetail(Schema):
    """Why a request was refused."""

    code: str = Field(description="For programs; does not change.")
    message: str = Field(description="For people: what is wrong, and what to do.")


class BatchItem(Schema):
    """What became of one photograph of a batch: an answer, or an error."""

    name: str | None = Field(description="Of the file, as its sender gave it.")
    answer: QueryAnswer | None
    error: ErrorDetail | None


class BatchAnswer(Schema):
    """One for each photograph, in their order."""

    answers: list[BatchItem]


class ErrorAnswer(Schema):
    """The form of every error."""

    error: ErrorDetail
