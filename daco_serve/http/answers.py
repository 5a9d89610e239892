"""Converts the engine's values to the schemas of answers, with addresses on this server."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from daco_core.photographs.distances import is_placed
from daco_core.photographs.panoramas import PANORAMA_WARNING, looks_like_panorama
from daco_index.reranking.voting import CellMatch
from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_index.search.source_names import SourceNames
from daco_serve.engine.answers import Answer, EstimatedLocation, IndexSummary, SearchArea
from daco_serve.engine.service import Service
from daco_serve.engine.tracking import Odometry, TrackEstimate
from daco_serve.engine.tracking.session import Frame
from daco_serve.http.schemas import IndexState, LocalPosition, Location, Match, MatchedCell, Prior, QueryAnswer, Timings
from daco_serve.http.track_schemas import FrameHeader, TrackLocation, TrackState
from daco_serve.http.uploads.image_header import claimed_size


def query_answer(answer: Answer, service: Service, content: bytes = b"") -> QueryAnswer:
    """The answer to one query.

    Args:
        content: the photograph as it was sent, for warnings about it; empty for none.
    """
    estimate = answer.estimate
    best = estimate.best
    location = None
    if estimate.location is not None and best is not None:
        location = Location(
            **position_of(estimate.location),
            uncertainty_metres=estimate.location.uncertainty_metres,
            calibrated=estimate.location.calibrated,
            probability=estimate.probability,
            place=best.entry.place,
            support=estimate.support,
        )
    return QueryAnswer(
        verdict=estimate.verdict,
        on_map=estimate.on_map,
        place=None if best is None else best.entry.place,
        probability=estimate.probability,
        support=estimate.support,
        considered=estimate.considered,
        best=None if best is None else _match(best, service, answer),
        location=location,
        matches=[
            _match(match, service, answer, cells)
            for match, cells in zip(answer.matches, answer.cells or [None] * len(answer.matches), strict=True)
        ],
        warnings=[PANORAMA_WARNING] if looks_like_panorama(*claimed_size(content)) else [],
        timings=Timings(
            decode_ms=_milliseconds(answer.seconds.decode),
            embed_ms=_milliseconds(answer.seconds.embed),
            search_ms=_milliseconds(answer.seconds.search),
            rerank_ms=_milliseconds(answer.seconds.rerank),
            total_ms=_milliseconds(answer.seconds.total),
        ),
        index=index_state(answer.index),
    )


def position_of(placed: Entry | EstimatedLocation | TrackEstimate) -> dict[str, Any]:
    """The position of something in an answer; the local position is an object of its own."""
    local = None
    if placed.frame is not None and placed.x is not None and placed.y is not None:
        local = LocalPosition(frame=placed.frame, x=placed.x, y=placed.y, z=placed.z)
    return {
        "latitude": placed.latitude,
        "longitude": placed.longitude,
        "altitude": placed.altitude,
        "heading": placed.heading,
        "floor": placed.floor,
        "local": local,
    }


def track_estimate(estimate: TrackEstimate) -> TrackState:
    """The estimate of a track."""
    location = None
    if is_placed(estimate) and estimate.uncertainty_metres is not None:
        location = TrackLocation(**position_of(estimate), uncertainty_metres=estimate.uncertainty_metres)
    return TrackState(
        status=estimate.status,
        probability=estimate.probability,
        not_on_map=estimate.not_on_map,
        place=estimate.place,
        id=estimate.id,
        location=location,
    )


def index_state(summary: IndexSummary) -> IndexState:
    """The index as it appears in answers."""
    return IndexState(**asdict(summary))


def search_area(prior: Prior | None) -> SearchArea | None:
    """The area in which the engine searches."""
    return None if prior is None else SearchArea(**prior.model_dump())


def track_frame(content: bytes, header: FrameHeader) -> Frame:
    """A frame for the engine."""
    odometry = None if header.odometry is None else Odometry(**header.odometry.model_dump())
    return Frame(content, header.timestamp, odometry, search_area(header.prior))


def image_address(service: Service, index: str, reference: int) -> str:
    """The address of a reference photograph on this server; it names the index if there are several."""
    address = f"/v1/references/{reference}/image"
    return address if len(service.indexes) == 1 else f"{address}?index={index}"


def file_name(service: Service, names: SourceNames, entry: Entry) -> str | None:
    """The name of a reference's file in answers; None unless the settings allow names."""
    return names.of(entry.path) if service.settings.name_files else None


def _match(match: SearchMatch, service: Service, answer: Answer, cells: Sequence[CellMatch] | None = None) -> Match:
    entry = match.entry
    return Match(
        rank=match.rank,
        id=entry.id,
        place=entry.place,
        similarity=round(match.similarity, 6),
        votes=None if match.votes is None else round(match.votes, 2),
        score=round(match.score, 6),
        **position_of(entry),
        image=image_address(service, answer.index.name, entry.id),
        file=file_name(service, answer.names, entry),
        cells=None if cells is None else [MatchedCell(**asdict(cell)) for cell in cells],
    )


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 2)
