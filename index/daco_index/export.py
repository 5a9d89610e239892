"""An index as files for other programs: its catalogue as GeoJSON, its catalogue and descriptors as Parquet."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import get_type_hints

import numpy as np

from daco_core.errors import DacoError, MissingExtra, UsageError
from daco_core.files import replace_file
from daco_index.generations.manifest import SourceRecord
from daco_index.references.object_stores import is_remote
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry

ROWS = 8192  # descriptors in memory at a time, beside the index itself


def export_geojson(bundle: Bundle, file: Path) -> None:
    """Writes one feature for each photograph: a point (longitude, latitude), or no geometry where it is not known.

    `path` is the file's, as seen from the source that it came from, since such files are handed on to others.

    Raises:
        UsageError: all positions are in a local frame that nothing ties to the earth.
        DacoError: the file cannot be written.
    """
    if bundle.manifest.bounds is None and bundle.manifest.with_location:
        raise UsageError(
            "The positions are in a local frame without an anchor, and GeoJSON has degrees: put a frame.json with the"
            " anchor beside the photographs and run daco-index update, or export with --parquet."
        )
    with _written_atomically(file) as fresh, fresh.open("w", encoding="utf-8") as stream:
        roots = _roots(bundle.manifest.sources)
        stream.write('{"type": "FeatureCollection", "features": [')
        for number, entry in enumerate(bundle.catalog.all()):
            stream.write((",\n" if number else "\n") + json.dumps(_feature(entry, roots), ensure_ascii=False))
        stream.write("\n]}\n")


def export_parquet(bundle: Bundle, file: Path) -> None:
    """Writes one row for each photograph: the catalogue's columns, and `descriptor`, a list of float32.

    The encoder's fingerprint is in the schema's metadata: descriptors can be compared with those of the same only.

    Raises:
        DacoError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(
            "Parquet needs pyarrow, which is not installed: pip install 'daco-serve[parquet]', or use --geojson."
        ) from error
    types = {
        int: pyarrow.int64(),
        str: pyarrow.string(),
        str | None: pyarrow.string(),
        float | None: pyarrow.float64(),
    }
    columns = [pyarrow.field(name, types[kind]) for name, kind in get_type_hints(Entry).items()]
    descriptor = pyarrow.field("descriptor", pyarrow.list_(pyarrow.float32(), bundle.store.dimension))
    notes = {"encoder_fingerprint": bundle.manifest.encoder_fingerprint, "backbone": bundle.manifest.backbone}
    schema = pyarrow.schema([*columns, descriptor], metadata=notes)
    entries = bundle.catalog.all()
    with _written_atomically(file) as fresh, parquet.ParquetWriter(fresh, schema) as writer:
        for start in range(0, len(entries), ROWS):
            rows = entries[start : start + ROWS]
            vectors = bundle.store.vectors(np.array([entry.id for entry in rows], dtype=np.int64))
            table = dict(zip(Entry._fields, map(list, zip(*rows, strict=True)), strict=True))
            table["descriptor"] = list(vectors)
            writer.write_table(pyarrow.Table.from_pydict(table, schema=schema))


def _roots(sources: Iterable[SourceRecord]) -> list[str]:
    """The folders and addresses that paths are shortened by, the longest first."""
    roots = {root.rstrip("/") for record in sources for root in (record.name, record.data_root)}
    return sorted((root for root in roots if root.startswith("/") or is_remote(root)), key=len, reverse=True)


def _below(path: str, roots: Iterable[str]) -> str:
    """A path as seen from the first root that holds it; else the bare file name."""
    root = next((root for root in roots if path.startswith(f"{root}/")), None)
    return PurePosixPath(path).name if root is None else path.removeprefix(f"{root}/")


def _feature(entry: Entry, roots: Iterable[str]) -> dict[str, object]:
    properties = entry._asdict() | {"path": _below(entry.path, roots)}
    longitude, latitude = properties.pop("longitude"), properties.pop("latitude")
    altitude = properties.pop("altitude")
    coordinates = [longitude, latitude, *([] if altitude is None else [altitude])]
    geometry = None if longitude is None else {"type": "Point", "coordinates": coordinates}
    return {"type": "Feature", "id": properties.pop("id"), "geometry": geometry, "properties": properties}


@contextmanager
def _written_atomically(file: Path) -> Iterator[Path]:
    """A file beside it to write to, which takes its place at the end; on an error nothing is left."""
    try:
        with replace_file(file) as fresh:
            yield fresh
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {error.strerror or error}.") from error
