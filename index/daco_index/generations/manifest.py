"""`manifest.json`: the contents of a generation of an index, and the checksums of its files."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from daco_core.errors import DamagedIndex, reason_of
from daco_core.photographs.reconstructions import Up
from daco_index.embedding.precision_record import QueryPrecision, parse_query_precision
from daco_index.references.find import Split
from daco_index.search.catalog import Entry
from daco_index.search.index_choice import EXACT, Measured, Search, SearchOptions

FORMAT_VERSION = 4  # 1 had neither sources nor next_id; 2 only exact search; 3 other names for `requested`
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class FileRecord:
    """One file of the generation: its size and the SHA-256 of its bytes."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class MapBounds:
    """The box of latitudes and longitudes (degrees) that contains every photograph with a position."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True)
class SourceRecord:
    """A source of photographs, for `update` to scan again: the arguments of `find_references`, as absolute paths.

    Args:
        panoramas: which photographs are panoramas that are cut into views: `marked` by their metadata, `shaped` as
            such, too, or `none`. Indexes of before there were such views have none.
        views: of each panorama.
        positions: path of the reconstruction that places the photographs; None for what lies with them.
        up: the axis that is upwards in it; `auto` for what most cameras say.
        scale: metres in a unit of it; None to estimate it by photographs whose positions are known.
        track: a GPX file that was recorded while the photographs were taken; None for none.
        offset, camera_yaw: seconds to add to the camera's clock; degrees from the direction of travel to the camera's,
            clockwise.
    """

    name: str
    data_root: str
    split: Split
    panoramas: Literal["marked", "shaped", "none"] = "none"
    views: int = 8
    positions: str | None = None
    up: Up = "auto"
    scale: float | None = 1.0
    track: str | None = None
    offset: float = 0.0
    camera_yaw: float = 0.0

    @property
    def place(self) -> tuple[str, str, Split]:
        """What identifies the photographs, whatever the other options are."""
        return self.name, self.data_root, self.split


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`.

    Args:
        created: UTC, ISO 8601.
        count, with_location: number of photographs in the index, and of those whose position is known.
        dimension: the length of a descriptor.
        index: FAISS's factory string; `Flat` is exact.
        metric: `inner_product`; descriptors have length 1, so it is the cosine similarity.
        source: the source given when the index was built.
        backbone, encoder_fingerprint: of the encoder that computed the descriptors; it is stored in `encoder/`.
        bounds: None if no position is known. Across the 180th meridian, the box goes the long way round.
        files: path relative to the generation's folder, to the file's record.
        change: the command that created this generation from the previous one: `build`, `add`, `rollback to 3`, ...
        sources: the sources that `update` scans again; none for an index of format 1.
        left_out: files of the sources that were removed with `remove`, as absolute paths.
        next_id: greater than every id that this index ever used, so that none is used twice.
        search: how the descriptors are searched, and why.
        queries: the precision of queries, and its loss of recall.
    """

    generation: int
    created: str
    count: int
    with_location: int
    dimension: int
    index: str
    source: str
    backbone: str
    encoder_fingerprint: str
    bounds: MapBounds | None
    files: dict[str, FileRecord]
    change: str
    sources: tuple[SourceRecord, ...]
    left_out: tuple[str, ...]
    next_id: int
    search: Search
    queries: QueryPrecision = field(default_factory=QueryPrecision)
    metric: str = "inner_product"
    format_version: int = FORMAT_VERSION

    @property
    def only_local(self) -> bool:
        """Whether there are positions, but none on the earth: all are in local frames without an anchor."""
        return self.with_location > 0 and self.bounds is None

    @property
    def bytes(self) -> int:
        """The size of the generation's files on disk."""
        return sum(record.bytes for record in self.files.values())

    def as_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def verify_files(self, folder: Path) -> None:
        """Checks every file of the generation against its checksum.

        Raises:
            DamagedIndex: one is missing, cannot be read, or has another content.
        """
        for name, record in self.files.items():
            file = folder / name
            try:
                intact = file.stat().st_size == record.bytes and sha256_of(file) == record.sha256
            except OSError as error:
                raise DamagedIndex(
                    f"The index is damaged: {file} cannot be read ({reason_of(error)}). {REMEDY}"
                ) from error
            if not intact:
                raise DamagedIndex(f"The index is damaged: {file} does not match its checksum. {REMEDY}")


REMEDY = "Build it again with daco-index build."


def parse_manifest(text: bytes, file: Path) -> Manifest:
    """Parses the bytes of a manifest, of this or an older format.

    Raises:
        DamagedIndex: it has a newer format, or is not a manifest.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        version = content["format_version"]
        if version > FORMAT_VERSION:
            raise DamagedIndex(
                f"{file} has format {version}; this daco-serve reads formats up to {FORMAT_VERSION}: update daco-serve."
            )
        if version == 1:
            content |= {"change": "build", "sources": [], "left_out": [], "next_id": content["count"]}
        if version < 3:
            content |= {"index": EXACT, "search": {"reason": "Exact, as every index of format 2.", "requested": {}}}
        if version < 4:
            _rename(content["search"], "wishes", "requested")
            _rename(content.get("queries") or {}, "wanted", "requested")
        bounds = content["bounds"]
        content["bounds"] = None if bounds is None else MapBounds(**bounds)
        content["files"] = {name: FileRecord(**record) for name, record in content["files"].items()}
        content["sources"] = tuple(SourceRecord(**record) for record in content["sources"])
        content["left_out"] = tuple(content["left_out"])
        content["search"] = _parse_search(content["search"])
        content["queries"] = parse_query_precision(content.get("queries"))
        return Manifest(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedIndex(f"The index is damaged: {file} is not a manifest ({error}). {REMEDY}") from error


def _rename(content: dict[str, Any], old: str, new: str) -> None:
    """Gives an entry the name that it has in the current format."""
    if old in content:
        content[new] = content.pop(old)


def _parse_search(content: dict[str, Any]) -> Search:
    measured = content.get("measured")
    parts = {
        "requested": SearchOptions(**content["requested"]),
        "measured": None if measured is None else Measured(**measured),
    }
    return Search(**(content | parts))


def bounds_of(entries: Iterable[Entry]) -> MapBounds | None:
    """The box around all positions; None if there are none."""
    points = [(entry.latitude, entry.longitude) for entry in entries]
    latitudes = [latitude for latitude, _ in points if latitude is not None]
    longitudes = [longitude for _, longitude in points if longitude is not None]
    if not latitudes or not longitudes:
        return None
    return MapBounds(min(latitudes), min(longitudes), max(latitudes), max(longitudes))


def record_files(folder: Path) -> dict[str, FileRecord]:
    """A record of every file below a folder, by its relative path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): FileRecord(file.stat().st_size, sha256_of(file)) for file in files}


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
