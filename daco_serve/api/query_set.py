"""Locates a whole query set without a server, and writes the estimates as CSV, JSON or GeoJSON."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from daco_core.errors import UsageError
from daco_core.photographs.coordinates import POSITION_FIELDS, geojson_point
from daco_core.photographs.images import UnreadableImage
from daco_core.untrusted_text import csv_cell
from daco_index.export.atomic import written_file
from daco_index.search.query_set import BATCH_SIZE, Query, embedded_batches
from daco_serve.api.index import Index
from daco_serve.engine.answers import Estimate, QueryOptions
from daco_serve.engine.lookup import look_up

COLUMNS = (
    *("query", "verdict", "on_map", "probability", "place", *POSITION_FIELDS),
    *("uncertainty_metres", "calibrated", "similarity", "votes", "support", "file"),
)
TEXTS = ("query", "place", "floor", "frame", "file")


@dataclass(frozen=True)
class LocatedQuery:
    """The estimate for one photograph.

    Args:
        estimate: None if the photograph cannot be read.
        unreadable: the reason why it cannot be read.
    """

    query: Query
    estimate: Estimate | None
    unreadable: UnreadableImage | None = None

    def values(self) -> dict[str, object]:
        """Plain values, by their names in CSV and JSON; empty if the photograph cannot be read."""
        if self.estimate is None:
            return {}
        estimate, location, best = self.estimate, self.estimate.location, self.estimate.best
        position = dict.fromkeys((*POSITION_FIELDS, "uncertainty_metres", "calibrated"))
        if location is not None:
            position |= asdict(location)
        return {
            "query": str(self.query.path),
            "verdict": estimate.verdict,
            "on_map": estimate.on_map,
            "probability": estimate.probability,
            "place": None if best is None else best.entry.place,
            **position,
            "similarity": None if best is None else best.similarity,
            "votes": None if best is None else best.votes,
            "support": estimate.support,
            "file": None if best is None else best.entry.path,
        }


def locate_queries(
    index: Index,
    queries: Sequence[Query],
    batch_size: int = BATCH_SIZE,
    strict: bool = False,
    progress: bool = True,
) -> Iterator[LocatedQuery]:
    """The estimates for a query set, in order: what `Index.localize` returns for each photograph, at a build's speed.

    Args:
        strict: stop at an unreadable file, instead of reporting it on stderr.
        progress: show count, rate and remaining time on stderr.

    Raises:
        UnreadableImage: with `strict`, for the first such file.
        DacoError: an error of the engine or the index.
    """
    engine, options = index.engine.for_many(), QueryOptions(1, None, index.rerank)
    for batch in embedded_batches(engine, queries, batch_size, strict, progress):
        embeddings = [] if batch.embedding is None else batch.embedding.one_by_one()
        lookups = (look_up(index.bundle, index.calibration, embedding, options) for embedding in embeddings)
        for query, lookup, unreadable in batch.answered(lookups):
            yield LocatedQuery(query, None if lookup is None else lookup.estimate, unreadable)


def check_form(index: Index, out: Path) -> None:
    """Checks that a file can contain the estimates of an index.

    Raises:
        UsageError: it is GeoJSON, and the index is in a local frame without an anchor.
    """
    if out.suffix.lower() == ".geojson" and index.bundle.manifest.only_local:
        raise UsageError(
            f"The positions of {index.folder} are in a local frame without an anchor, and GeoJSON contains degrees: put"
            " a frame.json with the anchor next to the photographs and run daco-index update, or write .csv or .json."
        )


def as_json(located: Sequence[LocatedQuery], head: dict[str, object]) -> dict[str, object]:
    """The estimates as one JSON object.

    Args:
        head: further values, which come first.
    """
    return {
        **head,
        "queries": [one.values() for one in located if one.estimate is not None],
        "unreadable": {str(one.query.path): str(one.unreadable) for one in located if one.unreadable is not None},
    }


def write_estimates(located: Sequence[LocatedQuery], out: Path, head: dict[str, object]) -> None:
    """Writes the estimates to a `.csv`, `.json` or `.geojson` file, which appears once it is complete.

    Raises:
        DacoError: the file cannot be written.
    """
    write = {".csv": _write_csv, ".json": _write_json, ".geojson": _write_geojson}[out.suffix.lower()]
    with written_file(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as stream:
        write(stream, located, head)


def _write_csv(stream: TextIO, located: Sequence[LocatedQuery], head: dict[str, object]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in (one.values() for one in located if one.estimate is not None):
        row |= {name: csv_cell(str(row[name] or "")) for name in TEXTS}
        writer.writerow([row[name] for name in COLUMNS])


def _write_json(stream: TextIO, located: Sequence[LocatedQuery], head: dict[str, object]) -> None:
    json.dump(as_json(located, head), stream, ensure_ascii=False, indent=1)


def _write_geojson(stream: TextIO, located: Sequence[LocatedQuery], head: dict[str, object]) -> None:
    features = [_feature(one.values()) for one in located if one.estimate is not None]
    json.dump({"type": "FeatureCollection", "features": features}, stream, ensure_ascii=False, indent=1)


def _feature(values: dict[str, Any]) -> dict[str, object]:
    """A GeoJSON feature: a point where the photograph was located, or no geometry if it was not."""
    geometry = geojson_point(*(values.pop(name) for name in ("latitude", "longitude", "altitude")))
    return {"type": "Feature", "geometry": geometry, "properties": values}
