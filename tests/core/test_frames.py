"""Local frames: read from a table, tied to the earth by an anchor, compared in metres with and without one."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.distances import Places, is_placed, metres_between
from daco_core.photographs.frames import Anchor, in_frame, read_frames
from daco_core.photographs.locations import PhotoLocation, distance_metres, read_locations, write_locations
from daco_core.photographs.positions import read_positions
from daco_core.photographs.positions.utm import utm_to_degrees


def local(x: float, y: float, z: float | None = None, floor: str | None = None, frame: str = "local") -> PhotoLocation:
    return PhotoLocation(None, None, x=x, y=y, z=z, floor=floor, frame=frame)


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / name)


@pytest.mark.parametrize("heading", [0.0, 30.0, 250.0])
def test_an_anchor_puts_a_frame_on_the_ellipsoid(heading: float) -> None:
    # at its central meridian UTM is a plane that touches the earth there, but for its scale of 0.9996
    anchor = Anchor(*utm_to_degrees(500_000, 6_170_000, 33, "U"), heading)
    turn = math.radians(heading)
    east, north = 800.0, -450.0
    x, y = east * math.cos(turn) - north * math.sin(turn), east * math.sin(turn) + north * math.cos(turn)
    latitude, longitude, height = anchor.on_earth(x, y)
    expected = utm_to_degrees(500_000 + 0.9996 * east, 6_170_000 + 0.9996 * north, 33, "U")
    assert distance_metres(latitude, longitude, *expected) < 0.02
    assert height == pytest.approx((east**2 + north**2) / 2 / 6.37e6, abs=0.01)  # the plane leaves the round earth


def test_an_anchor_gives_altitudes_and_headings_from_north() -> None:
    frames = {"hall": Anchor(49.0, 10.0, 90.0, 300.0)}
    found = in_frame(PhotoLocation(None, None, 10.0, x=5.0, y=0.0, z=2.5), frames)
    assert found.frame == "hall" and (found.x, found.y, found.z) == (5.0, 0.0, 2.5)
    assert found.heading == 100.0 and found.altitude == pytest.approx(302.5, abs=1e-4)
    # the y axis looks east, so the x axis looks south
    assert found.longitude == pytest.approx(10.0, abs=1e-9) and found.latitude is not None
    assert distance_metres(found.latitude, 10.0, 49.0, 10.0) == pytest.approx(5.0, rel=5e-3) and found.latitude < 49
    kept = PhotoLocation(1.0, 2.0, 10.0, x=5.0, y=0.0)
    assert in_frame(kept, frames).latitude == 1.0 and in_frame(kept, frames).heading == 10.0


def test_a_table_in_metres_is_a_local_frame_and_an_anchor_adds_degrees(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "poses.csv").write_text("Filename;Easting;Northing;Z;Floor\na.jpg;1.5;2;0.5;G\nb.jpg;3;4;;1\n")
    found = read_positions(tmp_path)
    assert found["a.jpg"] == PhotoLocation(None, None, x=1.5, y=2.0, z=0.5, floor="G", frame="local")
    assert found["b.jpg"].z is None and found["b.jpg"].floor == "1"
    (tmp_path / "frame.json").write_text(json.dumps({"name": "hall", "anchor": {"latitude": 49, "longitude": 10}}))
    anchored = read_positions(tmp_path)["a.jpg"]
    assert anchored.frame == "hall" and anchored.x == 1.5
    assert distance_metres(anchored.latitude or 0, anchored.longitude or 0, 49, 10) == pytest.approx(2.5, rel=5e-3)


def test_x_and_y_in_a_table_with_width_and_height_are_pixels_and_no_position(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "boxes.csv").write_text("file,x,y,width,height\na.jpg,10,20,30,40\n")
    assert read_positions(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{",
        '{"anchor": {"latitude": 1}}',
        '{"anchor": {"latitude": 1, "longitude": "east"}}',
        '{"anchor": {"latitude": 91, "longitude": 0}}',
        '{"origin": 1}',
        '{"name": ""}',
        '[{"name": "a"}, {"name": "a"}]',
    ],
)
def test_an_invalid_frame_is_rejected_in_one_sentence(text: str, tmp_path: Path) -> None:
    file = tmp_path / "frame.json"
    file.write_text(text)
    with pytest.raises(DacoError, match=r"frame\.json"):
        read_frames(file)


def test_locations_of_every_kind_survive_writing_and_reading(tmp_path: Path) -> None:
    locations = {
        "a.jpg": PhotoLocation(49.0, 10.0, 5.0, "gate", altitude=300.125, x=1.0, y=2.0, z=3.0, floor="G", frame="hall"),
        "b.jpg": local(4.0, 5.0),
        "c.jpg": PhotoLocation(49.0, 10.0),
    }
    write_locations(tmp_path, locations)
    assert read_locations(tmp_path) == locations


PLACES = [
    local(0, 0),
    local(3, 4),
    local(0, 0, floor="1"),
    local(3, 4, floor="2"),
    local(0, 0, frame="yard"),
    PhotoLocation(49.0, 10.0),
    PhotoLocation(49.0001, 10.0, x=0.0, y=12.0, z=5.0, frame="local"),
    PhotoLocation(None, None),
    local(0, 0, z=0.0),
]


def test_distances_use_the_common_frame_or_the_earth_and_are_infinite_without_either() -> None:
    assert metres_between(PLACES[0], PLACES[1]) == 5.0
    assert metres_between(PLACES[2], PLACES[3]) == math.inf, "two storeys"
    assert metres_between(PLACES[0], PLACES[2]) == 0.0, "a storey that is not known may be any"
    assert metres_between(PLACES[0], PLACES[4]) == math.inf, "two frames"
    assert metres_between(PLACES[0], PLACES[5]) == math.inf
    assert metres_between(PLACES[5], PLACES[6]) == pytest.approx(11.12, abs=0.01)
    assert metres_between(PLACES[0], PLACES[6]) == 12.0 and metres_between(PLACES[8], PLACES[6]) == 13.0
    assert [is_placed(one) for one in PLACES].count(False) == 1


def test_a_matrix_of_distances_equals_the_distance_of_each_pair() -> None:
    places, rows = Places(PLACES), np.arange(len(PLACES))
    expected = [[metres_between(one, other) for other in PLACES] for one in PLACES]
    assert np.allclose(places.metres(rows), expected, rtol=1e-5)
    assert np.allclose(places.metres(rows[2:4], other_rows=rows[:3]), np.array(expected)[2:4, :3], rtol=1e-5)
    assert np.allclose(places.metres_to(PLACES[1]), expected[1], rtol=1e-5)
    assert np.isinf(Places([PLACES[5]]).metres_to(PLACES[0])).all()
