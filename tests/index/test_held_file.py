"""An open file of an index: changes are noticed, and read errors do not end the process."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from daco_core.errors import DamagedIndex
from daco_index.search.catalog import Catalog, Entry
from daco_index.search.held_file import HeldFile

ROWS = np.arange(3000, dtype=np.uint8).reshape(100, 30)


@pytest.fixture
def held(tmp_path: Path) -> HeldFile:
    file = tmp_path / "rows"
    file.write_bytes(b"head" + ROWS.tobytes())
    return HeldFile(file)


def test_rows_are_read_in_the_requested_order(held: HeldFile) -> None:
    wanted = np.array([99, 0, 7, 7])
    assert np.array_equal(held.rows(4, 30, wanted), ROWS[wanted])
    assert held.rows(4, 30, np.empty(0, np.int64)).shape == (0, 30)
    with pytest.raises(DamagedIndex, match="too short"):
        held.rows(4, 30, np.array([100]))


def test_an_open_file_is_still_readable_after_it_was_removed_or_replaced(held: HeldFile) -> None:
    held.path.unlink()
    held.path.write_bytes(b"another")
    assert np.array_equal(held.rows(4, 30, np.array([5])), ROWS[[5]])


@pytest.mark.parametrize("change", ["truncate", "write", "touch"])
def test_a_change_in_place_is_detected(held: HeldFile, change: str) -> None:
    assert not held.changed
    if change == "truncate":
        os.truncate(held.path, 1000)
    elif change == "touch":
        os.utime(held.path)
    else:
        time.sleep(0.02)  # the clock of a file system moves in steps of some milliseconds
        with held.path.open("r+b") as stream:
            stream.write(bytes(10))
    assert held.changed
    with pytest.raises(DamagedIndex, match="was changed"):
        held.rows(4, 30, np.array([0]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_disk_that_fails_is_an_error_not_a_signal(held: HeldFile) -> None:
    failing = os.open("/proc/self/mem", os.O_RDONLY)  # EIO wherever nothing is mapped, as at its beginning
    os.dup2(failing, held.descriptor)
    os.close(failing)
    held.stamp = HeldFile(Path("/proc/self/mem")).stamp
    with pytest.raises(DamagedIndex, match="Input/output error"):
        held.rows(0, 30, np.array([0]))


def test_the_file_is_closed_when_nothing_refers_to_it(held: HeldFile) -> None:
    descriptor = HeldFile(held.path).descriptor
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_truncated_or_overwritten_catalogue_is_reported_as_damaged(tmp_path: Path) -> None:
    entries = [Entry(id, f"/{id}.jpg", f"place {id}", 35.0, 139.0, None, 4, 3, "0" * 64) for id in range(3000)]
    for number, cut in enumerate((0, 4096, 100_000)):
        file = tmp_path / f"{number}.sqlite"
        catalog = Catalog.create(file, entries)
        os.truncate(file, cut)
        for read in (lambda: catalog.get([1]), catalog.all, lambda: catalog.positions(10)):  # noqa: B023
            with pytest.raises(DamagedIndex):
                read()
    held = Catalog.create(tmp_path / "held.sqlite", entries)
    assert held.get([7])
    os.truncate(tmp_path / "held.sqlite", 0)
    assert held.get([2999]) == [entries[2999]]  # from memory
    held.check()
