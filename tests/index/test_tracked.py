"""Photographs placed along a track: by their times, in the order of their clocks, with all omissions reported."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import UsageError
from daco_core.photographs.locations import PhotoLocation, distance_metres
from daco_core.photographs.plane import degrees_from
from daco_core.photographs.tracks import place_photographs, read_gpx
from daco_core.photographs.tracks.capture import read_capture_time
from daco_core.recordings.arguments import RecordingArguments
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import update_index
from daco_index.references.changes import SourceOptions
from daco_index.search.bundle import Bundle, read_manifest
from tests.recording_files import write_gpx

TAKEN, OFFSET, SUBSECOND = 0x9003, 0x9011, 0x9291
TEN = 1777629600.0  # 2026-05-01 10:00 UTC, at which the track begins


def photograph(path: Path, details: dict[int, str], gps: dict[int, object] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(details)
    if gps:
        exif.get_ifd(0x8825).update(gps)
    noise = np.random.default_rng(len(path.name)).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("details", "gps", "expected"),
    [
        ({TAKEN: "2026:05:01 12:00:10", OFFSET: "+02:00"}, None, TEN + 10),
        ({TAKEN: "2026:05:01 10:00:10", SUBSECOND: "25"}, None, TEN + 10.25),
        ({TAKEN: "2026:05:01 12:00:10"}, {29: "2026:05:01", 7: (10.0, 0.0, 10.0)}, TEN + 10),
        ({TAKEN: "0000:00:00 00:00:00"}, None, None),
        ({}, None, None),
    ],
)
def test_the_time_of_a_photograph_comes_from_exif_with_its_zone_or_from_its_gps_receiver(
    tmp_path: Path, details: dict[int, str], gps: dict[int, object] | None, expected: float | None
) -> None:
    assert read_capture_time(photograph(tmp_path / "a.jpg", details, gps)) == expected
    (tmp_path / "b.jpg").write_text("no image")
    assert read_capture_time(tmp_path / "b.jpg") is None


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Photographs of 10, 20 and 30 s after the beginning of the track, one of long after it, one without a time."""
    folder = tmp_path / "walk"
    for name, time in (("a", "10:00:10"), ("b", "10:00:20"), ("c", "10:00:30"), ("late", "11:00:00")):
        photograph(folder / f"{name}.jpg", {TAKEN: f"2026:05:01 {time}"})
    photograph(folder / "timeless.jpg", {})
    write_gpx(tmp_path / "walk.gpx", seconds=60)
    return folder


def test_photographs_get_the_position_of_the_track_at_their_time(walk: Path) -> None:
    images = sorted(walk.iterdir())
    placed = place_photographs(images, read_gpx(walk.with_suffix(".gpx")), camera_yaw=90)
    assert [image.name for image in placed.locations] == ["a.jpg", "b.jpg", "c.jpg"]
    for number, location in enumerate(placed.locations.values(), start=1):
        expected = degrees_from((50.0, 10.0), 50.0 * number, 0.0)
        assert distance_metres(location.latitude or 0, location.longitude or 0, *expected) < 0.01
        assert location.heading == pytest.approx(180.0, abs=0.1) and location.altitude == pytest.approx(
            100 + 10 * number
        )
    assert [image.name for image in placed.outside] == ["late.jpg"]
    assert [image.name for image in placed.without_time] == ["timeless.jpg"]
    assert "3 of 5 photographs" in str(placed) and "timeless.jpg" in str(placed) and "late.jpg" in str(placed)


def test_an_offset_corrects_the_clock_and_a_fitting_one_is_proposed(walk: Path) -> None:
    images, track = sorted(walk.glob("[abc].jpg")), read_gpx(walk.with_suffix(".gpx"))
    late = place_photographs(images, track, offset=7200)
    assert not late.locations and "With --offset +0s" in late.advice and "3 would be on it" in late.advice
    assert len(place_photographs(images, track, offset=-5).locations) == 3


def options(track: Path, offset: str = "0") -> BuildOptions:
    recording = RecordingArguments(track, None, None, offset, 0.0).parse()
    return BuildOptions(device="cpu", progress=False, source=SourceOptions(recording=recording))


def test_build_and_update_give_photographs_the_positions_of_a_track(
    walk: Path, encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (walk / "poses.csv").write_text("file,lat,lon\nlate.jpg,1,2\n")
    out, track = tmp_path / "index", walk.with_suffix(".gpx")
    report = build_index(str(walk), str(encoder_folder), out, options(track))
    assert report.manifest.with_location == 4
    (note,) = report.notes
    assert "3 of 5 photographs are on the track" in note and f"Note: {note}" in capsys.readouterr().err
    entries = {Path(entry.path).name: entry for entry in Bundle.open(out).catalog.all()}
    assert entries["b.jpg"].heading == pytest.approx(90.0, abs=0.1) and entries["late.jpg"].latitude == 1.0
    assert entries["timeless.jpg"].latitude is None
    photograph(walk / "dd.jpg", {TAKEN: "2026:05:01 10:00:40"})
    assert update_index(out, BuildOptions(device="cpu", progress=False)).manifest.with_location == 5
    assert json.loads(read_manifest(out).as_json())["sources"][0]["track"] == str(track.resolve())
    with pytest.raises(UsageError, match=r"walk\.gpx: 0 of 6 .*--offset"):
        build_index(str(walk), str(encoder_folder), tmp_path / "other", options(track, "-5h"))


def test_a_compass_heading_is_kept(walk: Path, encoder_folder: Path, tmp_path: Path) -> None:
    (walk / "poses.csv").write_text("file,lat,lon,heading\na.jpg,1,2,123\n")
    build_index(str(walk), str(encoder_folder), tmp_path / "index", options(walk.with_suffix(".gpx")))
    first = Bundle.open(tmp_path / "index").catalog.all()[0]
    assert first.heading == 123 and first.latitude == pytest.approx(50.0, abs=0.01)
    assert PhotoLocation(first.latitude, first.longitude).latitude == first.latitude
