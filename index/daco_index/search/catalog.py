"""What is known of each reference photograph, in an SQLite file beside the vectors."""

import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daco_core.errors import DamagedIndex
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
# what catalogues of earlier versions lack
LATER_COLUMNS = ("altitude", "x", "y", "z", "floor", "frame")
CATALOG_FILE = "catalog.sqlite"  # of a generation
CACHE_KIB = 32768  # of a catalogue that is not held in memory
HELD = 2**17  # ids whose entries are kept in memory, 0.6 KB each: to read ten takes as long as to search among so few
POSITIONS = "CREATE INDEX position ON photograph (latitude, longitude)"  # older catalogues have none, and are scanned
LOCAL_POSITIONS = "CREATE INDEX local_position ON photograph (frame, x, y) WHERE frame IS NOT NULL"


class Entry(NamedTuple):  # which is made in a quarter of a frozen dataclass's time, and a search makes many
    """One reference photograph, under the id that its descriptor has.

    Args:
        path: of the file, absolute.
        place: the name of the place that it shows.
        latitude, longitude: degrees, WGS 84; None where not known.
        heading: degrees clockwise from north; None where not known.
        width, height: pixels, upright.
        sha256: of the file's bytes.
        altitude, x, y, z, floor, frame: as a `PhotoLocation` has them; None where not known.
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
    """The places of a catalogue: how many there are, and the first and the last name; None where it is empty."""

    total: int
    first: str | None
    last: str | None


class Catalog:
    """A finished catalogue, open for reading from any number of threads.

    Every method that reads raises DamagedIndex where the file was changed since, or its disk fails.

    Raises:
        DacoError: the file is missing or is no catalogue.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            # immutable: a published generation never changes, so SQLite needs no locks and no write access
            address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._connection.execute("PRAGMA mmap_size = 0")  # a file that is truncated must not end the process
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self.file = HeldFile(path)
            self.count: int = self._connection.execute("SELECT count(*) FROM photograph").fetchone()[0]
            there = {row[1] for row in self._connection.execute("PRAGMA table_info(photograph)")}
            self._columns = ", ".join(
                f"NULL AS {name}" if name in LATER_COLUMNS and name not in there else name for name in Entry._fields
            )
            self._has_frames = "frame" in there
        except (sqlite3.Error, OSError) as error:
            raise DamagedIndex(f"{path} is not a catalogue that can be read: {error}.") from error

    def check(self) -> None:
        """Raises DamagedIndex where `get` would read a file that was changed."""
        if self._held is None:
            self.file.check()

    @cached_property
    def _held(self) -> list[Entry | None] | None:
        """All entries, each at the place that its id says, read when the first is asked for; None where ids go too far.

        Not a dict, in which it takes longer to come by an entry that no cache of the processor holds.
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
        """How many places the photographs show, and the first and the last of them by name; read once."""
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
            # whoever publishes the file syncs it; until then there is nothing to roll back to
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
        """The entries under these ids, in that order; ids that are not there are left out."""
        if (held := self._held) is not None:
            return [entry for number in ids if 0 <= number < len(held) and (entry := held[number])]
        # as one table, so that SQLite prepares one statement, however many they are
        query = f"SELECT {self._columns} FROM photograph WHERE id IN (SELECT value FROM json_each(?))"
        found = {entry.id: entry for entry in self._select(query, json.dumps(list(set(ids))))}
        return [found[number] for number in ids if number in found]

    def all(self) -> list[Entry]:
        """Every entry, by id."""
        return self._select(f"SELECT {self._columns} FROM photograph ORDER BY id")

    def paths_below(self, folder: str) -> list[str]:
        """The paths of the photographs in a folder and the folders in it."""
        start, end = f"{folder}/", f"{folder}0"  # 0 follows / in UTF-8
        return [
            str(path) for (path,) in self._rows("SELECT path FROM photograph WHERE path > ? AND path < ?", (start, end))
        ]

    def within(self, latitude: float, longitude: float, metres: float) -> list[int]:
        """Ids of the photographs whose position is at most that far from a point in degrees, by id."""
        # a box that holds the circle, for SQLite's index of positions; then the circle itself
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
        """Ids of the photographs at most that far from a point in a local frame, by id; heights do not count."""
        if not self._has_frames:
            return []
        rows = self._rows(
            "SELECT id FROM photograph WHERE frame = ? AND x BETWEEN ? AND ? AND y BETWEEN ? AND ?"
            " AND (x - ?) * (x - ?) + (y - ?) * (y - ?) <= ? ORDER BY id",
            (frame, x - metres, x + metres, y - metres, y + metres, x, x, y, y, metres * metres),
        )
        return [int(number) for (number,) in rows]

    def near(self, place: Placed, metres: float) -> list[int]:
        """Ids of the photographs at most that far from a place, in its local frame or on the earth, by id."""
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
        """Half the diagonal, in metres, of the largest local frame's box; None where there is no local frame."""
        if not self._has_frames:
            return None
        boxes = "SELECT max(x) - min(x), max(y) - min(y) FROM photograph WHERE frame IS NOT NULL GROUP BY frame"
        return max((math.hypot(*box) / 2 for box in self._rows(boxes, ())), default=None)

    def positions(self, most: int) -> list[tuple[int, float, float]]:
        """Id, latitude and longitude of the photographs that have a position, evenly thinned to about that many."""
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
