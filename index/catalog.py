"""What is known of each reference photograph, in an SQLite file beside the vectors."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from training.errors import DacoError

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
    sha256 TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Entry:
    """One reference photograph, under the id that its descriptor has.

    Args:
        path: of the file, absolute.
        place: the name of the place that it shows.
        latitude, longitude: degrees, WGS 84; None where not known.
        heading: degrees clockwise from north; None where not known.
        width, height: pixels, upright.
        sha256: of the file's bytes.
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


COLUMNS = ", ".join(field.name for field in fields(Entry))


class Catalog:
    """A finished catalogue, open for reading from any number of threads.

    Raises:
        DacoError: the file is missing or is no catalogue.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            # immutable: a published generation never changes, so SQLite needs no locks and no write access
            address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self.count: int = self._connection.execute("SELECT count(*) FROM photograph").fetchone()[0]
        except sqlite3.Error as error:
            raise DacoError(f"{path} is not a catalogue that can be read: {error}.") from error

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
            holes = ", ".join("?" for _ in fields(Entry))
            with connection:
                connection.executemany(f"INSERT INTO photograph VALUES ({holes})", map(astuple, entries))
        except sqlite3.OperationalError as error:
            raise OSError(f"SQLite could not write {path.name}: {error}") from error
        finally:
            connection.close()
        return cls(path)

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """The entries under these ids, in that order; ids that are not there are left out."""
        query = f"SELECT {COLUMNS} FROM photograph WHERE id IN (SELECT value FROM json_each(?))"
        found = {entry.id: entry for entry in self._select(query, json.dumps([int(number) for number in ids]))}
        return [found[number] for number in ids if number in found]

    def all(self) -> list[Entry]:
        """Every entry, by id."""
        return self._select(f"SELECT {COLUMNS} FROM photograph ORDER BY id")

    def _select(self, query: str, *parameters: str) -> list[Entry]:
        with self._lock:
            rows = self._connection.execute(query, parameters).fetchall()
        return [Entry(*row) for row in rows]
