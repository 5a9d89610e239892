"""Tracks: positions interpolated by time, headings and distances along the path, nothing invented in gaps."""

import math
from pathlib import Path

import pytest

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import distance_metres
from daco_core.photographs.plane import degrees_from
from daco_core.photographs.tracks import Track, TrackPoint, format_offset, parse_offset, read_gpx

HOME = 55.7, 13.2


def point(time: float, east: float, north: float, altitude: float | None = None) -> TrackPoint:
    return TrackPoint(time, *degrees_from(HOME, east, north), altitude)


def angle(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


# 100 m east in 20 s, then 100 m north in 10 s
BEND = Track(
    [*(point(t, 5.0 * t, 0.0, 10.0 + t) for t in range(21)), *(point(20 + t, 100, 10.0 * t) for t in range(1, 11))]
)


def test_positions_are_interpolated_by_time_and_have_the_heading_of_the_track() -> None:
    found = BEND.at(7.5)
    assert found is not None
    assert distance_metres(found.latitude, found.longitude, *degrees_from(HOME, 37.5, 0)) < 0.01
    assert found.heading is not None and angle(found.heading, 90) < 0.1
    assert found.speed == pytest.approx(5.0, abs=0.01) and found.distance == pytest.approx(37.5, abs=0.01)
    assert found.altitude == pytest.approx(17.5)
    later = BEND.at(26.0)
    assert later is not None and later.heading is not None and angle(later.heading, 0) < 0.1
    assert later.altitude is None and later.speed == pytest.approx(10.0, abs=0.01)


def test_a_track_gives_no_position_before_its_start_or_after_its_end() -> None:
    assert BEND.at(-0.1) is None and BEND.at(30.1) is None
    assert BEND.at(0) is not None and BEND.at(30) is not None


def test_each_distance_along_a_track_has_one_time() -> None:
    assert BEND.length == pytest.approx(200, abs=0.01)
    for distance, time in ((0, 0), (50, 10), (100, 20), (150, 25), (200, 30)):
        found = BEND.along(distance)
        assert found is not None and found.time == pytest.approx(time, abs=1e-6)
    assert BEND.along(200.1) is None and BEND.along(-1) is None


def test_standing_still_adds_no_distance_and_keeps_the_heading() -> None:
    wander = [point(10 + t, 50 + 1.5 * math.cos(t), 1.5 * math.sin(t)) for t in range(1, 120)]
    track = Track(
        [*(point(t, 5.0 * t, 0.0) for t in range(11)), *wander, *(point(130 + t, 50 + 5.0 * t, 0) for t in range(11))]
    )
    assert track.length == pytest.approx(100, abs=1)
    waiting = track.at(70)
    assert waiting is not None and waiting.heading is not None
    assert angle(waiting.heading, 90) < 5 and waiting.speed < 0.5


def test_a_long_pause_is_a_gap_unless_the_receiver_stood_still() -> None:
    moved = Track([point(0, 0, 0), point(10, 50, 0), point(300, 2000, 0), point(310, 2050, 0)])
    assert moved.at(100) is None and moved.at(5) is not None and moved.at(305) is not None and moved.at(300) is not None
    paused = Track([point(0, 0, 0), point(10, 50, 0), point(3000, 60, 0), point(3010, 110, 0)])
    assert paused.at(1000) is not None


def test_points_may_be_unordered_and_repeated() -> None:
    track = Track([point(10, 50, 0), point(0, 0, 0), point(10, 60, 0)])
    assert track.length == pytest.approx(50, abs=0.01)
    with pytest.raises(UsageError, match="at least two"):
        Track([point(10, 50, 0), point(10, 0, 0)])


GPX = """<?xml version="1.0"?><gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1"><trk>
<trkseg><trkpt lat="55.7" lon="13.2"><ele>12.5</ele><time>2026-05-01T10:00:00Z</time></trkpt>
<trkpt lat="55.7001" lon="13.2"><time>2026-05-01T12:00:10+02:00</time></trkpt><trkpt lat="55.8" lon="13.2"/></trkseg>
<trkseg><trkpt lat="55.7002" lon="13.2"><time>2026-05-01T10:00:20Z</time></trkpt></trkseg></trk></gpx>"""


def test_a_gpx_file_is_one_track_of_its_timed_points(tmp_path: Path) -> None:
    file = tmp_path / "ride.gpx"
    file.write_text(GPX, encoding="utf-8-sig")
    track = read_gpx(file)
    assert (track.start, track.end) == (1777629600.0, 1777629620.0)
    assert track.length == pytest.approx(22.2, abs=0.1)
    first = track.at(track.start)
    assert first is not None and first.altitude == 12.5 and first.heading == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<gpx></gpx", "is not a GPX file"),
        ('<gpx version="1.1"><trk><trkseg><trkpt lat="1" lon="2"/></trkseg></trk></gpx>', "1 track points, of which 0"),
    ],
)
def test_a_file_that_is_no_track_is_rejected(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "ride.gpx"
    file.write_text(text)
    with pytest.raises(DacoError, match=sentence):
        read_gpx(file)
    with pytest.raises(DacoError, match="There is no track"):
        read_gpx(tmp_path / "none.gpx")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("-2h", -7200),
        ("1h30m", 5400),
        ("+5h 30min", 19800),
        ("12.5s", 12.5),
        ("-00:00:12.5", -12.5),
        ("1:30", 5400),
    ],
)
def test_the_usual_spellings_of_offsets_are_read(text: str, seconds: float) -> None:
    assert parse_offset(text) == seconds
    assert parse_offset(format_offset(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "-", "soon", "2 days", "1h2h"])
def test_an_invalid_offset_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time offset"):
        parse_offset(text)
