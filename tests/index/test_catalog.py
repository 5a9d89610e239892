"""The catalogue of references."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from daco_core.errors import DacoError
from daco_core.photographs.locations import PhotoLocation
from daco_index.search.catalog import LATER_COLUMNS, Catalog, Entry

ENTRIES = [
    Entry(0, "/a/ø b?#.jpg", "inn", 55.5, -13.25, 359.5, 640, 480, "ab" * 32),
    Entry(7, "/a/2.jpg", "7/x'); --", None, None, None, 1, 2, "cd" * 32),
    Entry(3, "/a/3.jpg", "", 0.0, 0.0, 0.0, 3, 4, "ef" * 32),
]


@pytest.fixture(params=[True, False], ids=["in memory", "from the file"])
def catalog(request, tmp_path, monkeypatch):
    if not request.param:
        monkeypatch.setattr("daco_index.search.catalog.HELD", 0)
    Catalog.create(tmp_path / "a?b#c.sqlite", ENTRIES)
    return Catalog(tmp_path / "a?b#c.sqlite")


def test_a_catalogue_survives_writing_and_reading(catalog):
    assert catalog.count == 3
    assert catalog.all() == sorted(ENTRIES, key=lambda entry: entry.id)


def test_entries_have_the_requested_order_and_unknown_ids_are_left_out(catalog):
    assert catalog.get([3, 99, 0, -1, 3]) == [ENTRIES[2], ENTRIES[0], ENTRIES[2]]
    assert catalog.get([]) == []


def test_more_ids_can_be_read_than_sqlite_accepts_parameters(catalog):
    assert len(catalog.get(list(range(100_000)))) == 3


def test_a_large_catalogue_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daco_index.search.catalog.HELD", 8)
    few, many = ENTRIES, [*ENTRIES, Entry(8, "/a/4.jpg", "", None, None, None, 5, 6, "")]
    held = Catalog.create(tmp_path / "few.sqlite", few)
    read = Catalog.create(tmp_path / "many.sqlite", many)
    assert held.get([7])[0] is held.get([7])[0]
    assert read.get([7])[0] is not read.get([7])[0]
    assert read.get([7, 8, 7]) == [ENTRIES[1], many[3], ENTRIES[1]]


def test_many_threads_can_read_at_once(catalog):
    with ThreadPoolExecutor(16) as pool:
        assert all(found == [ENTRIES[1]] for found in pool.map(lambda _: catalog.get([7]), range(500)))


def test_a_file_that_is_no_catalogue_is_rejected_by_name(tmp_path):
    (tmp_path / "c.sqlite").write_text("not a database" * 100)
    for name in ("c.sqlite", "missing.sqlite"):
        with pytest.raises(DacoError, match=name):
            Catalog(tmp_path / name)


def test_a_circle_works_across_the_180th_meridian_and_at_the_poles(tmp_path: Path) -> None:
    places = [(0.0, 179.9999), (0.0, -179.9999), (0.0, 0.0), (89.9999, 10.0), (89.9999, -170.0), (None, None)]
    entries = [
        Entry(number, f"/{number}.jpg", "", latitude, longitude, None, 1, 1, "")
        for number, (latitude, longitude) in enumerate(places)
    ]
    catalog = Catalog.create(tmp_path / "catalog.sqlite", entries)
    assert catalog.within(0.0, 180.0, 20) == [0, 1]
    assert catalog.within(0.0, -180.0, 12) == [0, 1]
    assert catalog.within(0.0, 0.0, 1) == [2]
    assert catalog.within(90.0, 0.0, 20) == [3, 4]
    assert catalog.within(0.0, 0.0, 3e7) == [0, 1, 2, 3, 4]
    assert catalog.within(45.0, 45.0, 100) == []
    assert sorted(place for _, *place in catalog.positions(most=10)) == sorted(
        [*place] for place in places if place[0] is not None
    )


@pytest.mark.parametrize("first", [0, 1])
def test_positions_are_thinned_evenly(tmp_path: Path, first: int) -> None:
    located = [(float(number), 0.0) if number % 2 == first else (None, None) for number in range(60)]
    rows = [Entry(number, f"/{number}", "", *place, None, 1, 1, "") for number, place in enumerate(located)]
    Catalog.create(tmp_path / "catalog.sqlite", rows)
    latitudes = [latitude for _, latitude, _ in Catalog(tmp_path / "catalog.sqlite").positions(10)]
    assert len(latitudes) == 10
    assert set(np.diff(latitudes)) == {6.0}


def test_a_catalogue_without_altitudes_and_frames_is_read(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    Catalog.create(file, ENTRIES)
    connection = sqlite3.connect(file)
    connection.execute("DROP INDEX local_position")
    for column in LATER_COLUMNS:
        connection.execute(f"ALTER TABLE photograph DROP COLUMN {column}")
    connection.commit()
    connection.close()
    old = Catalog(file)
    assert old.all() == sorted(ENTRIES, key=lambda entry: entry.id)
    assert old.within(55.5, -13.25, 10) == [0]
    assert old.within_frame("local", 0, 0, 10) == [] and old.frame_extent is None
    assert old.near(PhotoLocation(55.5, -13.25, x=0.0, y=0.0, frame="local"), 10) == [0]


def test_circles_and_the_extent_are_measured_in_a_local_frame(tmp_path: Path) -> None:
    def entry(number: int, x: float, y: float, frame: str, floor: str | None = None) -> Entry:
        return Entry(number, f"/{number}", "", None, None, None, 1, 1, "", x=x, y=y, floor=floor, frame=frame)

    entries = [entry(0, 0, 0, "hall", "1"), entry(1, 3, 4, "hall", "2"), entry(2, 0, 0, "yard"), entry(3, 6, 8, "yard")]
    catalog = Catalog.create(tmp_path / "catalog.sqlite", entries)
    assert catalog.all() == entries
    assert catalog.within_frame("hall", 0, 0, 5) == [0, 1] and catalog.within_frame("hall", 0, 0, 4.9) == [0]
    assert catalog.near(PhotoLocation(None, None, x=0.0, y=0.0, frame="hall", floor="1"), 5) == [0]
    assert catalog.near(PhotoLocation(None, None, x=0.0, y=0.0, frame="yard"), 100) == [2, 3]
    assert catalog.frame_extent == 5.0 and catalog.positions(10) == []
