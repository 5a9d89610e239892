"""What the engine answers with: plain values, which know nothing of HTTP and import nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from daco_index.reranking.voting import CellMatch
    from daco_index.search.bundle import SearchMatch
    from daco_index.search.catalog import Catalog
    from daco_index.search.source_names import SourceNames

TrackStatus = Literal["tracking", "lost", "not_on_map"]
Verdict = Literal["located", "uncalibrated", "not_on_map", "no_position"]
# which calibration an answer's probabilities come from: fitted on this index by its owner, or shipped with the encoder
CalibrationKind = Literal["own", "prior"]


class QueryError(Exception):
    """A query that is not answered.

    Args:
        code: what programs tell the reasons apart by, such as `not_an_image`.
        message: one sentence: what is wrong, and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class SearchArea:
    """What is known of where a query was taken: within so many metres of a point on the earth or in a local frame.

    Args:
        latitude, longitude: degrees; None for a point in a local frame.
        frame, x, y: name of the local frame, and metres in it; None for a point on the earth.
    """

    latitude: float | None
    longitude: float | None
    metres: float
    frame: str | None = None
    x: float | None = None
    y: float | None = None

    def __str__(self) -> str:
        if self.frame is None:
            return f"within {self.metres:g} m of {self.latitude:g}, {self.longitude:g}"
        return f"within {self.metres:g} m of x {self.x:g}, y {self.y:g} in the frame {self.frame!r}"

    def ids(self, catalog: "Catalog") -> list[int]:
        """The photographs of a catalogue that lie in it."""
        if self.frame is not None and self.x is not None and self.y is not None:
            return catalog.within_frame(self.frame, self.x, self.y, self.metres)
        assert self.latitude is not None and self.longitude is not None
        return catalog.within(self.latitude, self.longitude, self.metres)


@dataclass(frozen=True)
class QueryOptions:
    """What a query asks for.

    Args:
        k: how many matches; of a smaller index, all.
        area: where to look; everywhere unless given.
        rerank: how many candidates are ranked again by their local descriptors; 0 for none.
        cells: whether to say which cells of the query and of each match agree.
    """

    k: int
    area: SearchArea | None = None
    rerank: int = 0
    cells: bool = False


@dataclass(frozen=True)
class EstimatedLocation:
    """Where a query was taken, as the matches have it.

    Args:
        latitude, longitude: degrees, WGS 84; None where the matches are in a local frame that nothing ties to the
            earth.
        heading: degrees clockwise from north, or from the y axis of such a frame; None where the matches have none, or
            contradict each other.
        uncertainty_metres: radius around the position.
        calibrated: whether the truth is within the radius in 68 of 100 cases; else it is an estimate.
        altitude: metres, in the datum of the references; None where not known.
        x, y, z: metres in the local frame of the matches; None where they have none.
        floor: the name of the storey; None where not known.
        frame: the name of the local frame; None where there is none.
    """

    latitude: float | None
    longitude: float | None
    heading: float | None
    uncertainty_metres: float
    calibrated: bool = False
    altitude: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    floor: str | None = None
    frame: str | None = None


@dataclass(frozen=True)
class Estimate:
    """What follows from the matches of one query.

    Args:
        verdict: `located`; `uncalibrated`: nothing says how likely it is; `not_on_map`; or `no_position`: the place
            may be known, but none of its photographs has a position.
        on_map: the probability that the query's place is on the map; None where nothing is calibrated.
        best: the most similar match that shows the place; None where there is none, or the verdict is `not_on_map`.
        probability: that the place is right; None where nothing is calibrated.
        support: how many of the matches that were considered show the place.
        considered: how many matches had a say.
        location: None unless the place has a position.
    """

    verdict: Verdict
    on_map: float | None = None
    best: "SearchMatch | None" = None
    probability: float | None = None
    support: int = 0
    considered: int = 0
    location: EstimatedLocation | None = None


@dataclass(frozen=True)
class StageSeconds:
    """How long the stages of one query took; `total` is from the request's beginning, the upload included."""

    decode: float
    embed: float
    search: float
    rerank: float
    total: float


@dataclass(frozen=True)
class IndexSummary:
    """Which index, and which generation of it, answers.

    Args:
        count: reference photographs in it.
        encoder: the fingerprint of its encoder.
        calibrated: which calibration its probabilities come from; None where there is none.
        reranks: whether it has local descriptors, by which the first candidates are ranked again.
    """

    name: str
    generation: int
    count: int
    backbone: str
    encoder: str
    calibrated: CalibrationKind | None
    reranks: bool


@dataclass(frozen=True)
class Answer:
    """The matches of one query, the best first, and what follows from them.

    Args:
        names: what the files of the matches are called.
        cells: of each match, the cells that agree with the query's; None where they were not asked for, or not
            compared.
    """

    matches: "Sequence[SearchMatch]"
    estimate: Estimate
    seconds: StageSeconds
    index: IndexSummary
    names: "SourceNames"
    cells: "Sequence[Sequence[CellMatch] | None] | None" = None
