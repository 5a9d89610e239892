"""The demo city from other viewpoints: poses as requested, consistent depth, all else unchanged."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import distance_metres, read_locations
from daco_training.city import CityExtras, CitySettings, Viewpoint, make_city
from daco_training.city.plan import STREET_LENGTH, Pose, geography, nominal_pose, plan_places, plan_street
from daco_training.city.poses import (
    CameraPose,
    correspondences,
    depth_file,
    points_seen,
    project,
    read_depth,
    read_poses,
)
from daco_training.city.viewpoint import viewpoint_pose

SIZE, SEED, VIEW = 64, 3, Viewpoint(5, 30)
SETTINGS = CitySettings(places=2, size=SIZE, seed=SEED, domains=("day",))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    folder = tmp_path_factory.mktemp("viewpoints") / "demo"
    report = make_city(folder, SETTINGS, workers=1)
    assert report.images_rendered == 2
    before = {file: file.read_bytes() for file in folder.rglob("*.jpg")}
    report = make_city(folder, SETTINGS, CityExtras((VIEW,), depth=True), workers=1)
    assert (report.images_rendered, report.images_present) == (4, 0), "the photographs lacked their depth maps"
    assert {file: file.read_bytes() for file in before} == before, "what was there is kept"
    return folder


@pytest.mark.parametrize(("metres", "degrees"), [(0, 30), (2, 0), (2, 15), (5, 30), (10, 45), (25, 90)])
def test_a_viewpoint_has_exactly_the_requested_distance_and_angle(metres: float, degrees: float) -> None:
    for place in plan_places(120):
        nominal, moved = nominal_pose(SEED, place), viewpoint_pose(SEED, place, Viewpoint(metres, degrees))
        assert math.hypot(moved.x - nominal.x, moved.y - nominal.y) == pytest.approx(metres)
        assert abs((moved.yaw - nominal.yaw + 180) % 360 - 180) == pytest.approx(degrees)
        assert 0 < moved.x < STREET_LENGTH and abs(moved.y) < 2.0


def test_cameras_are_moved_and_turned_in_both_directions() -> None:
    for viewpoint in (Viewpoint(5, 0), Viewpoint(0, 30), VIEW):
        poses = [(nominal_pose(0, p), viewpoint_pose(0, p, viewpoint)) for p in plan_places(80)]
        if viewpoint.metres:
            assert 8 < sum(moved.x > nominal.x for nominal, moved in poses) < 72
        if viewpoint.degrees:
            assert 8 < sum(moved.yaw > nominal.yaw for nominal, moved in poses) < 72


def test_a_camera_that_moves_and_turns_keeps_what_the_place_shows_in_the_picture() -> None:
    kept = 0
    for place in plan_places(200):
        nominal = nominal_pose(1, place)
        facade = nominal.rotation()[:, 2] * 10 + np.array([nominal.x, nominal.y, nominal.z])
        moved = viewpoint_pose(1, place, VIEW)
        relative = (facade - np.array([moved.x, moved.y, moved.z])) @ moved.rotation()
        kept += abs(math.degrees(math.atan2(relative[0], relative[2]))) < 34
    assert kept >= 195


@pytest.mark.parametrize("wrong", ["5", "5,x", "1,2,3", "-1,5", "26,0", "0,91", "nan,3", ""])
def test_an_invalid_viewpoint_is_reported_in_one_sentence(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"viewpoint (is|must be)"):
        Viewpoint.parse(wrong)
    assert Viewpoint.parse("2.5, 15").name == "2.5m_15deg"


def test_the_folder_of_a_viewpoint_has_the_layout_of_the_originals(city: Path) -> None:
    data = DataSet(city.parent, "demo")
    for split in ("train", "val"):
        originals = data.images("domain_a", split)
        moved = data.images("domain_a", split, f"viewpoint/{VIEW.name}")
        assert [file.name for file in moved] == [file.name for file in originals]
        assert all(Image.open(file).size == (85, SIZE) for file in moved)
        here, there = read_locations(originals[0].parent), read_locations(moved[0].parent)
        for file in originals:
            one, two = here[file.name], there[file.name]
            assert one.place == two.place == file.stem
            away = distance_metres(one.latitude, one.longitude, two.latitude, two.longitude)
            assert away == pytest.approx(5, abs=0.6), "the original is up to half a metre from the nominal pose"
            assert one.heading is not None and two.heading is not None
            assert abs((one.heading - two.heading + 180) % 360 - 180) == pytest.approx(30, abs=3.5)


def test_poses_agree_with_the_positions(city: Path) -> None:
    folder = city / f"viewpoint/{VIEW.name}/domain_a/val"
    poses, locations = read_poses(folder), read_locations(folder)
    assert poses.keys() == locations.keys()
    for name, pose in poses.items():
        assert pose.heading == pytest.approx(locations[name].heading, abs=0.01)
    place = next(place for place in plan_places(2) if place.split == "val")
    street = plan_street(SEED, place.street)
    pose = viewpoint_pose(SEED, place, VIEW)
    camera = CameraPose.in_street(street, pose)
    ahead = camera.rotation()[:, 2] * 20
    _, _, heading = geography(street, pose)
    assert math.degrees(math.atan2(ahead[0], ahead[1])) % 360 == pytest.approx(heading)


def test_depth_and_pose_say_where_another_view_shows_the_same_spot(city: Path) -> None:
    for split in ("train", "val"):
        one, two = (city / kind / "domain_a" / split for kind in ("original", f"viewpoint/{VIEW.name}"))
        for name, pose in read_poses(one).items():
            other = read_poses(two)[name]
            depth, other_depth = (read_depth(depth_file(city, folder / name)) for folder in (one, two))
            assert depth.shape == (SIZE, 85) and depth[depth > 0].min() > 1
            pixels, _ = project(other, points_seen(pose, depth), 85, SIZE)
            inside = np.isfinite(pixels[..., 0])
            seen = np.isfinite(correspondences(pose, depth, other, other_depth)[..., 0])
            assert seen.sum() > 0.15 * seen.size
            assert seen.sum() > 0.7 * inside.sum(), "most of what falls into the other picture is not hidden there"
            askew = CameraPose(other.east, other.north, other.up, other.heading + 6, other.pitch, other.roll)
            off = np.isfinite(correspondences(pose, depth, askew, other_depth)[..., 0])
            assert off.sum() < 0.8 * seen.sum(), "with a wrong heading, depths do not agree"


def test_a_point_ahead_is_in_the_middle_and_one_to_the_east_of_north_on_the_right() -> None:
    north = CameraPose(0, 0, 2, 0, 0, 0)
    points = np.array([[0.0, 10, 2], [1, 10, 2], [0, 10, 3], [0, -10, 2]])
    pixels, away = project(north, points, 100, 80)
    assert pixels[0] == pytest.approx([50, 40]) and away[0] == pytest.approx(10)
    assert pixels[1][0] > 55 and pixels[1][1] == pytest.approx(40)
    assert pixels[2][1] < 35
    assert np.isnan(pixels[3]).all()


def test_missing_photographs_of_a_viewpoint_are_rendered_again_identically(city: Path) -> None:
    photograph = next((city / "viewpoint").rglob("*.jpg"))
    depth = depth_file(city, photograph)
    before = photograph.read_bytes(), read_depth(depth)
    photograph.unlink()
    depth.unlink()
    report = make_city(city, SETTINGS, CityExtras((VIEW,), (photograph.parent.name,), depth=True), workers=1)
    assert (report.images_rendered, report.images_present) == (1, 2), "of the other split, only the original is asked"
    assert photograph.read_bytes() == before[0]
    assert np.array_equal(read_depth(depth), before[1])


def test_missing_or_damaged_poses_and_depths_are_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DacoError, match=r"poses.json cannot be read.*daco-data demo writes it"):
        read_poses(tmp_path)
    (tmp_path / "poses.json").write_text('{"poses": {"a.jpg": {"east": 1}}}')
    with pytest.raises(DacoError, match="damaged"):
        read_poses(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"no array")
    for file in ("a.npz", "b.npz"):
        with pytest.raises(DacoError, match="not a depth map"):
            read_depth(tmp_path / file)


def test_a_street_and_the_city_give_a_camera_the_same_direction() -> None:
    street, pose = plan_street(0, 5), Pose(40.0, 1.0, 1.7, 50.0, 8.0, 2.0)
    ahead = np.array([pose.x, pose.y, pose.z]) + 10 * pose.rotation()[:, 2]
    camera = CameraPose.in_street(street, pose)
    spot = CameraPose.in_street(street, Pose(*ahead, 0.0, 0.0, 0.0))
    expected = np.array([camera.east, camera.north, camera.up]) + 10 * camera.rotation()[:, 2]
    assert np.array([spot.east, spot.north, spot.up]) == pytest.approx(expected)
