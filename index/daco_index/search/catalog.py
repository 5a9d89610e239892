"""The catalogue: what is known about each reference photograph, in an SQLite file next to the vectors."""

import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daco_core.errors import DamagedIndex, reason_of
from daco_core.photographs.distances import Placed, metres_between
from daco_core.photographs.locations import EARTH_RADIUS_METRES, distance_metres
from daco_index.search.held_file import HeldFile

SCHEMA = """
CREATE TABLE photograph (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    place TEXT NOT NULL,
    latitude REAL,
    longitude REAL,
    heading REAL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    altitude REAL,
    x REAL,
    y REAL,
    z REAL,
    floor TEXT,
    frame TEXT
)
"""
# columns that catalogues of earlier versions lack
LATER_COLUMNS = ("altitude", "x", "y", "z", "floor", "frame")
CATALOG_FILE = "catalog.sqlite"  # of a generation
CACHE_KIB = 32768  # of a catalogue that is not held in memory
HELD = 2**17  # ids whose entries are kept in memory, 0.6 KB each: to read ten takes as long as to search among so few
POSITIONS = "CREATE INDEX position ON photograph (latitude, longitude)"  # older catalogues have none, and are scanned
LOCAL_POSITIONS = "CREATE INDEX local_position ON photograph (frame, x, y) WHERE frame IS NOT NULL"


class Entry(NamedTuple):  # created four times faster than a frozen dataclass; a search creates many
    """One reference photograph, with the id of its descriptor.

    Args:
        path: of the file, absolute.
        place: the name of the place.
        latitude, longitude: degrees, WGS 84; None if unknown.
        heading: degrees clockwise from north; None if unknown.
        width, height: pixels, upright.
        sha256: of the file's bytes.
        altitude, x, y, z, floor, frame: see `PhotoLocation`; None if unknown.
    """

    id: int
    path: str
    place: str
    latitude: float | None
    longitude: float | None
    heading: float | None
    width: int
    height: int
    sha256: str
    altitude: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    floor: str | None = None
    frame: str | None = None


class PlaceSummary(NamedTuple):
    """The number of places in a catalogue, and the first and last name; None if it is empty."""

    total: int
    first: str | None
    last: str | None


class Catalog:
    """A finished catalogue, open for reading by any number of threads.

    Every method that reads raises DamagedIndex if the file was changed, or its disk fails.

    Raises:
        DamagedIndex: the file is missing or is not a catalogue.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            # immutable, because a published generation never changes: SQLite then needs no locks and no write access
            address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._connection.execute("PRAGMA mmap_size = 0")  # with mmap, a truncated file would crash the process
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self.file = HeldFile(path)
            self.count: int = self._connection.execute("SELECT count(*) FROM photograph").fetchone()[0]
            there = {row[1] for row in self._connection.execute("PRAGMA table_info(photograph)")}
            self._columns = ", ".join(
                f"NULL AS {name}" if name in LATER_COLUMNS and name not in there else name for name in Entry._fields
            )
            self._has_frames = "frame" in there
        except (sqlite3.Error, OSError) as error:
            raise DamagedIndex(f"{path} cannot be read as a catalogue: {reason_of(error)}.") from error

    def check(self) -> None:
        """Raises DamagedIndex if `get` would read a file that was changed."""
        if self._held is None:
            self.file.check()

    @cached_property
    def _held(self) -> list[Entry | None] | None:
        """All entries in a list indexed by id, read on first use; None if the ids are too large.

        Not a dict, because a lookup in a list is faster when the entry is not in the processor's caches.
        """
        highest = self._rows("SELECT max(id) FROM photograph", ())[0][0]
        if highest is None or highest >= HELD:
            return None
        held: list[Entry | None] = [None] * (highest + 1)
        for entry in self.all():
            held[entry.id] = entry
        return held

    @cached_property
    def places(self) -> PlaceSummary:
        """The number of places, and the first and last by name; read once."""
        return PlaceSummary(*self._rows("SELECT count(DISTINCT place), min(place), max(place) FROM photograph", ())[0])

    @classmethod
    def create(cls, path: Path, entries: Iterable[Entry]) -> "Catalog":
        """Writes a new catalogue and opens it.

        Raises:
            OSError: the disk is full or cannot be written.
            sqlite3.IntegrityError: two entries have one id or one path.
        """
        connection = sqlite3.connect(path)
        try:
            # the caller syncs the file when it publishes it; until then there is nothing to roll back to
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(SCHEMA)
            connection.execute(POSITIONS)
            connection.execute(LOCAL_POSITIONS)
            holes = ", ".join("?" for _ in Entry._fields)
            with connection:
                connection.executemany(f"INSERT INTO photograph VALUES ({holes})", entries)
        except sqlite3.OperationalError as error:
            raise OSError(f"SQLite could not write {path.name}: {error}") from error
        finally:
            connection.close()
        return cls(path)

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """The entries with these ids, in that order; missing ids are left out."""
        if (held := self._held) is not None:
            return [entry for number in ids if 0 <= number < len(held) and (entry := held[number])]
        # passed as one table, so that SQLite prepares a single statement, whatever their number
        query = f"SELECT {self._columns} FROM photograph WHERE id IN (SELECT value FROM json_each(?))"
        found = {entry.id: entry for entry in self._select(query, json.dumps(list(set(ids))))}
        return [found[number] for number in ids if number in found]

    def all(self) -> list[Entry]:
        """Every entry, sorted by id."""
        return self._select(f"SELECT {self._columns} FROM photograph ORDER BY id")

    def paths_below(self, folder: str) -> list[str]:
        """The paths of the photographs in a folder and the folders in it."""
        start, end = f"{folder}/", f"{folder}0"  # 0 follows / in UTF-8
        return [
            str(path) for (path,) in self._rows("SELECT path FROM photograph WHERE path > ? AND path < ?", (start, end))
        ]

    def within(self, latitude: float, longitude: float, metres: float) -> list[int]:
        """Ids, ascending, of the photographs within a distance of a point in degrees."""
        # first the box around the circle, for SQLite's index of positions; then the circle itself
        reach = math.degrees(metres / EARTH_RADIUS_METRES)
        narrowest = math.cos(math.radians(min(90.0, abs(latitude) + reach)))
        wide = 360.0 if narrowest < 1e-6 else math.degrees(math.radians(reach) / narrowest)
        rows = self._rows(
            "SELECT id, latitude, longitude FROM photograph WHERE latitude BETWEEN ? AND ?"
            " AND abs((longitude - ? + 540.0) - 360.0 * CAST((longitude - ? + 540.0) / 360.0 AS INTEGER) - 180.0) <= ?"
            " ORDER BY id",
            (latitude - reach, latitude + reach, longitude, longitude, wide),
        )
        if not rows:
            return []
        ids, latitudes, longitudes = (np.array(column) for column in zip(*rows, strict=True))
        away = distance_metres(latitude, longitude, latitudes, longitudes)
        return [int(number) for number in ids[away <= metres]]

    def within_frame(self, frame: str, x: float, y: float, metres: float) -> list[int]:
        """Ids, ascending, of the photographs within a distance of a point in a local frame; heights are ignored."""
        if not self._has_frames:
            return []
        rows = self._rows(
            "SELECT id FROM photograph WHERE frame = ? AND x BETWEEN ? AND ? AND y BETWEEN ? AND ?"
            " AND (x - ?) * (x - ?) + (y - ?) * (y - ?) <= ? ORDER BY id",
            (frame, x - metres, x + metres, y - metres, y + metres, x, x, y, y, metres * metres),
        )
        return [int(number) for (number,) in rows]

    def near(self, place: Placed, metres: float) -> list[int]:
        """Ids, ascending, of the photographs within a distance of a place, in its local frame or on the earth."""
        ids: list[int] = []
        if place.latitude is not None and place.longitude is not None:
            ids = self.within(place.latitude, place.longitude, metres)
        if place.frame is not None and place.x is not None and place.y is not None:
            ids = sorted({*ids, *self.within_frame(place.frame, place.x, place.y, metres)})
        if place.floor is None:
            return ids
        return [entry.id for entry in self.get(ids) if metres_between(place, entry) < math.inf]

    @cached_property
    def frame_extent(self) -> float | None:
        """Half the diagonal, in metres, of the largest local frame's box; None if there is no local frame."""
        if not self._has_frames:
            return None
        boxes = "SELECT max(x) - min(x), max(y) - min(y) FROM photograph WHERE frame IS NOT NULL GROUP BY frame"
        return max((math.hypot(*box) / 2 for box in self._rows(boxes, ())), default=None)

    def positions(self, most: int) -> list[tuple[int, float, float]]:
        """Id, latitude and longitude of the photographs with a position, evenly thinned to about `most`."""
        located = int(self._rows("SELECT count(*) FROM photograph WHERE latitude IS NOT NULL", ())[0][0])
        step = max(1, math.ceil(located / most))
        return [
            (int(number), float(latitude), float(longitude))
            for number, latitude, longitude in self._rows(
                "SELECT id, latitude, longitude FROM (SELECT *, row_number() OVER (ORDER BY id) AS number"
                " FROM photograph WHERE latitude IS NOT NULL) WHERE number % ? = 0",
                (step,),
            )
        ]

    def _select(self, query: str, *parameters: str | int) -> list[Entry]:
        return [Entry._make(row) for row in self._rows(query, parameters)]

    def _rows(self, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        self.file.check()
        try:
            with self._lock:
                return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise DamagedIndex(f"{self.file.path} cannot be read: {error}.") from error
