"""Photographs that a reconstruction knows are indexed in its local frame, in metres."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import update_index
from daco_index.references.changes import SourceOptions
from daco_index.references.reconstruction import ReconstructionOptions
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry

from .conftest import Command, Photographs

QUIET = BuildOptions(progress=False)


def _options(path: Path, scale: float | None = 1.0) -> BuildOptions:
    positions = ReconstructionOptions(str(path), "z", scale)
    return BuildOptions(progress=False, source=SourceOptions(reconstruction=positions))


def _write_transforms(file: Path, names: list[str]) -> None:
    """Cameras one metre apart along x, which look along y."""
    frames = []
    for number, name in enumerate(names):
        matrix = np.array([[1.0, 0, 0, number], [0, 0, -1, 0], [0, 1, 0, 1.5], [0, 0, 0, 1]])
        frames.append({"file_path": name, "transform_matrix": matrix.tolist()})
    file.write_text(json.dumps({"frames": frames}))


def _entries(index: Path) -> Iterator[Entry]:
    yield from Bundle.open(index).catalog.all()


def test_photographs_without_positions_get_those_of_a_reconstruction_next_to_them(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path, daco_index: Command
) -> None:
    photographs(tmp_path / "hall" / "images", 3)
    _write_transforms(tmp_path / "hall" / "transforms.json", ["images/000.png", "images/001.png"])
    index = tmp_path / "index"
    done = daco_index("build", tmp_path / "hall" / "images", "--encoder", encoder_folder, "--out", index)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 photographs are placed by" in done.stderr and "in which z is upwards" in done.stderr
    found = [(entry.x, entry.y, entry.z, entry.heading, entry.frame) for entry in _entries(index)]
    assert found == [(0, 0, 1.5, 0, "hall"), (1, 0, 1.5, 0, "hall"), (None,) * 5]
    assert Bundle.open(index).manifest.with_location == 2


def test_a_named_reconstruction_is_read_again_at_each_update(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path
) -> None:
    images, model, index = tmp_path / "images", tmp_path / "models" / "hall", tmp_path / "index"
    photographs(images, 3)
    model.mkdir(parents=True)
    _write_transforms(model / "transforms.json", [f"images/{number:03d}.png" for number in range(3)])
    build_index(str(images), str(encoder_folder), index, _options(model, scale=2.0))
    assert [entry.x for entry in _entries(index)] == [0, 2, 4]
    assert not update_index(index, QUIET).published
    _write_transforms(model / "transforms.json", [f"images/{number:03d}.png" for number in (2, 1, 0)])
    assert update_index(index, QUIET).published
    assert [entry.x for entry in _entries(index)] == [4, 2, 0]


def test_an_anchor_ties_the_reconstruction_to_the_earth(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path
) -> None:
    images, index = tmp_path / "images", tmp_path / "index"
    photographs(images, 2)
    _write_transforms(tmp_path / "transforms.json", ["images/000.png", "images/001.png"])
    anchor = {"latitude": 50.0, "longitude": 10.0, "heading": 90.0, "altitude": 300.0}
    (tmp_path / "frame.json").write_text(json.dumps({"name": "hall", "anchor": anchor}))
    build_index(str(images), str(encoder_folder), index, _options(tmp_path))
    first, second = _entries(index)
    assert (first.frame, second.frame) == ("hall", "hall")
    assert (first.heading, first.altitude) == (90.0, pytest.approx(301.5))
    assert first.latitude == pytest.approx(50.0) and first.longitude == pytest.approx(10.0)
    # y is to the east, so that x is to the south
    assert second.latitude == pytest.approx(50.0 - math.degrees(1 / 6.37e6), abs=1e-7)


def test_positions_in_degrees_are_kept_in_addition_to_local_ones(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path
) -> None:
    images, index = tmp_path / "images", tmp_path / "index"
    photographs(images, 2)
    _write_transforms(tmp_path / "transforms.json", ["images/000.png", "images/001.png"])
    write_locations(images, {f"{number:03d}.png": PhotoLocation(50.0, 10.0, 45.0) for number in range(2)})
    build_index(str(images), str(encoder_folder), index, QUIET)
    assert {entry.x for entry in _entries(index)} == {None}  # nobody asked for the reconstruction, and none was needed
    build_index(str(images), str(encoder_folder), index, _options(tmp_path))
    assert [(entry.x, entry.latitude, entry.heading) for entry in _entries(index)] == [(0, 50, 45), (1, 50, 45)]


def test_positions_in_degrees_give_the_unit_and_the_anchor_of_a_reconstruction(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path, daco_index: Command
) -> None:
    images, index = tmp_path / "hall" / "images", tmp_path / "index"
    photographs(images, 6)
    names = [f"{number:03d}.png" for number in range(6)]
    _write_transforms(tmp_path / "hall" / "transforms.json", names)
    metre = math.degrees(1 / 6.33544e6)  # of latitude, at the equator; a unit is 3 m, and x is to the north
    known = {name: PhotoLocation(3 * number * metre, 10.0) for number, name in enumerate(names[:5])}
    write_locations(images, known)
    command = ("build", images, "--positions", tmp_path / "hall" / "transforms.json", "--encoder", encoder_folder)
    done = daco_index(*command, "--out", index)
    assert done.returncode == 0, done.stderr
    assert "By the known positions of 5 of 5 photographs, one unit is 3" in done.stderr
    assert "is assumed to be one metre" not in done.stderr
    entries = list(_entries(index))
    assert [entry.x for entry in entries] == pytest.approx([3 * number for number in range(6)], rel=0.01)
    assert entries[5].latitude == pytest.approx(15 * metre, rel=0.01)  # which has no position of its own
    assert all(entry.heading == pytest.approx(270, abs=0.1) for entry in entries)  # y is to the west
    assert not update_index(index, QUIET).published


def test_a_note_says_that_an_unknown_unit_is_assumed_to_be_a_metre(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    photographs(images, 2)
    _write_transforms(tmp_path / "transforms.json", ["000.png", "001.png"])
    for index, scale, notes in (("a", None, 1), ("b", 1.0, 0)):
        report = build_index(str(images), str(encoder_folder), tmp_path / index, _options(tmp_path, scale))
        assert len(report.notes) == notes and all("one unit is assumed to be one" in note for note in report.notes)
        assert [entry.x for entry in _entries(tmp_path / index)] == [0, 1]


def test_a_reconstruction_of_other_photographs_is_rejected(
    encoder_folder: Path, photographs: Photographs, tmp_path: Path
) -> None:
    photographs(tmp_path / "images", 2)
    _write_transforms(tmp_path / "transforms.json", ["other/a.png"])
    with pytest.raises(UsageError, match=r"contains none of the photographs: it names other/a\.png, and the first"):
        build_index(str(tmp_path / "images"), str(encoder_folder), tmp_path / "index", _options(tmp_path))
    with pytest.raises(DacoError, match="no reconstruction"):
        build_index(str(tmp_path / "images"), str(encoder_folder), tmp_path / "index", _options(tmp_path / "gone"))
    assert not (tmp_path / "index").exists()
