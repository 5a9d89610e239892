"""The values that the engine returns: independent of HTTP, and quick to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from daco_core.photographs.coordinates import Position

if TYPE_CHECKING:
    from daco_index.reranking.voting import CellMatch
    from daco_index.search.bundle import SearchMatch
    from daco_index.search.catalog import Catalog
    from daco_index.search.source_names import SourceNames

TrackStatus = Literal["tracking", "lost", "not_on_map"]
Verdict = Literal["located", "uncalibrated", "not_on_map", "no_position"]
# where a calibration comes from: fitted for this index by queries (own) or by copies of its photographs (self), or
# shipped with the encoder (prior)
CalibrationKind = Literal["own", "self", "prior"]


class QueryError(Exception):
    """A query that cannot be answered.

    Args:
        code: identifies the reason for programs, such as `not_an_image`.
        message: one sentence: what is wrong, and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class SearchArea:
    """Where a query is known to have been taken: within some metres of a point on the earth or in a local frame.

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
        """The ids of the photographs of a catalogue in this area."""
        if self.frame is not None and self.x is not None and self.y is not None:
            return catalog.within_frame(self.frame, self.x, self.y, self.metres)
        assert self.latitude is not None and self.longitude is not None
        return catalog.within(self.latitude, self.longitude, self.metres)


@dataclass(frozen=True)
class QueryOptions:
    """The options of a query.

    Args:
        k: number of matches; if the index is smaller, all of it.
        area: where to search; None for everywhere.
        rerank: number of candidates to re-rank by local descriptors; 0 for none.
        cells: include the cells of the query and of each match that agree.
    """

    k: int
    area: SearchArea | None = None
    rerank: int = 0
    cells: bool = False


@dataclass(frozen=True)
class EstimatedLocation(Position):
    """The estimated position of a query.

    Latitude and longitude are None if the matches are in a local frame without an anchor; the heading is None if the
    matches have none, or disagree.

    Args:
        uncertainty_metres: radius around the position.
        calibrated: whether the radius contains the true position in 68 of 100 cases; else it is an estimate.
    """

    uncertainty_metres: float
    calibrated: bool = False


@dataclass(frozen=True)
class Estimate:
    """The conclusion from the matches of one query.

    Args:
        verdict: `located`; `uncalibrated`: there is no calibration to judge the answer; `not_on_map`; or
            `no_position`: the place may be known, but none of its photographs has a position.
        on_map: the probability that the query's place is on the map; None without a calibration.
        best: the most similar match of the place; None if there is none, or if the verdict is `not_on_map`.
        probability: that the place is right; None without a calibration.
        support: number of the considered matches that show the place.
        considered: number of matches that the estimate is based on.
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
    """The seconds that each stage of one query took; `total` is from the request's start, including the upload."""

    decode: float
    embed: float
    search: float
    rerank: float
    total: float


@dataclass(frozen=True)
class IndexSummary:
    """The index and generation that an answer comes from.

    Args:
        count: number of reference photographs in it.
        encoder: the fingerprint of its encoder.
        calibrated: the origin of its calibration; None if there is none.
        reranks: whether it has local descriptors for re-ranking.
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
    """The matches of one query, best first, and the conclusion from them.

    Args:
        names: the file names of the matches.
        cells: for each match, the cells that agree with the query's; None if they were not requested, or not
            compared.
    """

    matches: "Sequence[SearchMatch]"
    estimate: Estimate
    seconds: StageSeconds
    index: IndexSummary
    names: "SourceNames"
    cells: "Sequence[Sequence[CellMatch] | None] | None" = None
