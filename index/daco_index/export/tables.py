"""Exports an index as tables: its catalogue as GeoJSON; catalogue and descriptors as Parquet or NumPy arrays."""

import json
import zipfile
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from daco_core.errors import MissingExtra, UsageError
from daco_core.photographs.coordinates import geojson_point
from daco_index.export.atomic import written_file
from daco_index.export.nearest import descriptors_of
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry
from daco_index.search.source_names import SourceNames

NUMBERS = {
    "latitudes": "latitude",
    "longitudes": "longitude",
    "headings": "heading",
    "altitudes": "altitude",
    "x": "x",
    "y": "y",
    "z": "z",
}
ROWS = 8192  # descriptors in memory at a time, in addition to the index


def export_geojson(bundle: Bundle, file: Path) -> None:
    """Writes one feature for each photograph: a point (longitude, latitude), or no geometry if unknown.

    `path` is relative to the source of the file, because such files are passed on to others.

    Raises:
        UsageError: all positions are in local frames without an anchor.
        DacoError: the file cannot be written.
    """
    if bundle.manifest.only_local:
        raise UsageError(
            "The positions are in a local frame without an anchor, and GeoJSON needs degrees: put a frame.json with the"
            " anchor next to the photographs and run daco-index update, or export with --parquet."
        )
    with written_file(file) as fresh, fresh.open("w", encoding="utf-8") as stream:
        names = SourceNames(bundle.manifest.sources)
        stream.write('{"type": "FeatureCollection", "features": [')
        for number, entry in enumerate(bundle.catalog.all()):
            stream.write((",\n" if number else "\n") + json.dumps(_feature(entry, names), ensure_ascii=False))
        stream.write("\n]}\n")


def export_parquet(bundle: Bundle, file: Path) -> None:
    """Writes one row for each photograph: the catalogue's columns, and `descriptor`, a list of float32.

    The encoder's fingerprint is in the schema's metadata: only descriptors with the same fingerprint are comparable.

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
    with written_file(file) as fresh, parquet.ParquetWriter(fresh, schema) as writer:
        for rows, vectors in descriptors_of(bundle, ROWS):
            table: dict[str, Any] = dict(zip(Entry._fields, map(list, zip(*rows, strict=True)), strict=True))
            table["descriptor"] = list(vectors)
            writer.write_table(pyarrow.Table.from_pydict(table, schema=schema))


def export_npz(bundle: Bundle, file: Path) -> None:
    """Writes arrays for n photographs, which `numpy.load` reads, in order of ids.

    `descriptors` (n, dimension), float32; `ids`; `names`, paths relative to the indexed folders; `places`;
    `latitudes`, `longitudes`, `headings`, `altitudes`, and `x`, `y`, `z` of a local frame, NaN if unknown; and
    `encoder_fingerprint`.

    Raises:
        DacoError: the file cannot be written.
    """
    entries = bundle.catalog.all()
    names = SourceNames(bundle.manifest.sources)
    arrays = {
        "ids": np.array([entry.id for entry in entries], dtype=np.int64),
        "names": np.array([names.of(entry.path) for entry in entries], dtype=np.str_),
        "places": np.array([entry.place for entry in entries], dtype=np.str_),
        **{array: np.array([getattr(entry, name) for entry in entries], np.float64) for array, name in NUMBERS.items()},
        "encoder_fingerprint": np.array(bundle.manifest.encoder_fingerprint),
    }
    shape = len(entries), bundle.store.dimension
    with written_file(file) as fresh, zipfile.ZipFile(fresh, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        # in blocks, because all of them may not fit in memory
        with archive.open("descriptors.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(member, header)
            for _, vectors in descriptors_of(bundle, ROWS):
                member.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())


def _feature(entry: Entry, names: SourceNames) -> dict[str, object]:
    properties = entry._asdict() | {"path": names.of(entry.path)}
    geometry = geojson_point(*(properties.pop(name) for name in ("latitude", "longitude", "altitude")))
    return {"type": "Feature", "id": properties.pop("id"), "geometry": geometry, "properties": properties}
