"""The demo city: deterministic, resumable, and with correct geography and fog."""

import csv
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_core.files import _workspaces
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import distance_metres, read_locations
from daco_training.city import CitySettings, make_city
from daco_training.city.make import USUAL_DOMAINS
from daco_training.city.plan import Pose, geography, nominal_pose, photograph_pose, plan_places, plan_street
from daco_training.city.rendering.weather import (
    MAX_VISIBILITY,
    MIN_VISIBILITY,
    add_fog,
    add_sensor_noise,
    draw_visibility,
    expose,
    extinction,
)
from daco_training.city.streets.geometry import Soup, StreetFrame

SIZE, PLACES, SEED = 64, 4, 3


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    folder = tmp_path_factory.mktemp("whole") / "demo"
    report = make_city(folder, CitySettings(places=PLACES, size=SIZE, seed=SEED), workers=2)
    assert (report.images_rendered, report.images_present) == (3 * PLACES, 0)
    assert (report.train_places, report.val_places) == (3, 1)
    assert report.seconds_per_image == pytest.approx(report.seconds / report.images_rendered)
    return folder


def images(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.jpg"))}


def angle_between(one: np.ndarray, two: np.ndarray) -> float:
    return math.degrees(math.acos(np.clip((np.trace(one.T @ two) - 1) / 2, -1.0, 1.0)))


def test_the_city_has_the_published_layout_and_sorted_names_pair_places(city: Path) -> None:
    data = DataSet(city.parent, "demo")
    assert data.domain_names == {"domain_a": "day", "domain_b": "night", "domain_c": "fog"}
    for split, count in (("train", 3), ("val", 1)):
        names = [[file.name for file in data.images(domain, split)] for domain in data.domains]
        assert names[0] == names[1] == names[2]
        assert len(names[0]) == count
        for domain in data.domains:
            assert sorted(read_locations(data.split_folder(domain, split))) == names[0]


def test_every_image_is_four_by_three_at_the_requested_size(city: Path) -> None:
    files = list(city.rglob("*.jpg"))
    assert len(files) == 3 * PLACES
    for file in files:
        with Image.open(file) as image:
            image.load()
            assert image.size == (round(SIZE * 4 / 3), SIZE)


def test_the_places_of_a_split_do_not_depend_on_their_number() -> None:
    by_split = {split: [place for place in plan_places(1275, 75) if place.split == split] for split in ("train", "val")}
    assert {split: len(places) for split, places in by_split.items()} == {"train": 1200, "val": 75}
    assert not {place.street for place in by_split["train"]} & {place.street for place in by_split["val"]}
    for count, validation in ((375, 75), (40, None), (2, None), (8, 7)):
        places = plan_places(count, validation)
        assert len(places) == count
        for split, every in by_split.items():
            some = [place for place in places if place.split == split]
            assert some == every[: len(some)]
    assert sum(place.split == "val" for place in plan_places(300)) == 75


def test_another_seed_makes_another_city(city: Path, tmp_path: Path) -> None:
    make_city(tmp_path / "demo", CitySettings(places=2, size=SIZE, seed=SEED + 1, domains=("day",)), workers=1)
    every = images(city)
    for name, content in images(tmp_path / "demo").items():
        assert content != every[name]


def test_a_seed_gives_the_same_bytes_with_any_workers_places_and_domains(city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    make_city(folder, CitySettings(places=2, size=SIZE, seed=SEED, domains=("day",)), workers=1)
    report = make_city(folder, CitySettings(places=3, size=SIZE, seed=SEED, domains=("day", "night")), workers=1)
    assert (report.images_rendered, report.images_present) == (4, 2)
    some, every = images(folder), images(city)
    assert len(some) == 6
    assert some == {name: every[name] for name in some}


def test_different_settings_are_rejected_in_one_sentence_that_names_them(city: Path) -> None:
    before = images(city)
    for change, words in (
        ({"size": 128}, "size 64 instead of 128"),
        ({"seed": 9}, "seed 3 instead of 9"),
        ({"places": 2}, "3 places for training and 1 for validation instead of 1 and 1"),
        ({"val_places": 2}, "3 places for training and 1 for validation instead of 2 and 2"),
        ({"domains": ["night", "day"]}, "domains day,night,fog instead of night,day"),
    ):
        asked: dict[str, Any] = {"places": PLACES, "size": SIZE, "seed": SEED, **change}
        with pytest.raises(DacoError, match=words):
            make_city(city, CitySettings(**asked))
    assert images(city) == before


def test_a_folder_of_other_images_is_rejected(tmp_path: Path) -> None:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    (tmp_path / "original").mkdir()
    with pytest.raises(DacoError, match="not a demo city"):
        make_city(tmp_path, CitySettings(places=2))


@pytest.mark.parametrize(
    "wrong",
    [{"places": 1}, {"size": 10}, {"seed": -1}, {"domains": ("rain",)}, {"domains": ()}, {"workers": -1},
     {"domains": ("day", "day")}],
)  # fmt: skip
def test_settings_out_of_range_are_rejected_before_anything_is_written(tmp_path: Path, wrong: dict[str, Any]) -> None:
    workers, settings = wrong.get("workers", 0), {name: value for name, value in wrong.items() if name != "workers"}
    with pytest.raises(DacoError):
        make_city(tmp_path / "demo", CitySettings(**settings), workers=workers)
    assert not (tmp_path / "demo").exists()


def interrupted(folder: Path) -> tuple[int, str]:
    """Renders a city in a process of its own, which gets Ctrl-C at its first photograph: exit status and messages."""
    call = (
        "from pathlib import Path; from daco_training.city import CitySettings, make_city; "
        f"make_city(Path({str(folder)!r}), CitySettings(places={PLACES}, size={SIZE}, seed={SEED},"
        " domains=('day', 'night')), workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 300
    while not any(folder.rglob("[!.]*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def test_an_interrupted_run_resumes_to_the_same_city(city: Path, tmp_path: Path) -> None:
    for attempt in range(5):  # where the machine is busy, all may be rendered before this process sees the first
        folder = tmp_path / str(attempt) / "demo"
        status, errors = interrupted(folder)
        done = images(folder)
        if status != 0:
            break
        assert len(done) == 2 * PLACES, "it ended without a failure, so nothing may be missing"
    assert status != 0
    assert 0 < len(done) < 2 * PLACES
    assert errors.count("Run the same command again to resume") == 1
    assert errors.count("Traceback") == 1, "only the interpreter's own, for the KeyboardInterrupt passed on"
    assert not list(folder.rglob(".*"))
    report = make_city(folder, CitySettings(places=PLACES, size=SIZE, seed=SEED, domains=("day", "night")), workers=1)
    assert report.images_present == len(done)
    every = images(city)
    assert images(folder) == {name: every[name] for name in every if "domain_c" not in name}


def test_disk_errors_are_reported_in_one_sentence(city: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DacoError, match=r"Cannot write .*file.*run the same command again"):
        make_city(tmp_path / "file" / "demo", CitySettings(places=2, size=SIZE, domains=("day",)))
    folder = tmp_path / "demo"
    (folder / "city.json").mkdir(parents=True)
    with pytest.raises(DacoError, match=r"Cannot write .*city.json"):
        make_city(folder, CitySettings(places=2, size=SIZE, domains=("day",)))
    folder = shutil.copytree(city, tmp_path / "copy")
    image = next(folder.rglob("street00*.jpg"))
    image.unlink()
    for taken in _workspaces(image):
        taken.touch()
    with pytest.raises(DacoError, match=f"Cannot write .*{image.name}"):
        make_city(folder, CitySettings(places=PLACES, size=SIZE, seed=SEED), workers=1)


def test_night_is_darker_than_day_and_fog_has_less_contrast(city: Path) -> None:
    data = DataSet(city.parent, "demo")

    def grey(domain: str) -> list[np.ndarray]:
        return [
            np.asarray(Image.open(file).convert("L"), float) for file in data.images(data.find_domain(domain), "train")
        ]

    for day, night in zip(grey("day"), grey("night"), strict=True):
        assert night.mean() < 0.75 * day.mean()
    assert np.mean([image.std() for image in grey("fog")]) < 0.8 * np.mean([image.std() for image in grey("day")])


def test_training_and_validation_places_lie_in_different_streets() -> None:
    for count in (2, 3, 50, 400):
        places = plan_places(count)
        train = {place.street for place in places if place.split == "train"}
        val = {place.street for place in places if place.split == "val"}
        assert train and val
        assert not train & val
        assert len({place.name for place in places}) == count
    assert sum(place.split == "val" for place in plan_places(200)) == 50


def test_streets_do_not_cross_or_come_near_each_other() -> None:
    places = plan_places(200)
    where = [geography(plan_street(0, place.street), nominal_pose(0, place))[:2] for place in places]
    for i, place in enumerate(places):
        for j in range(i):
            if places[j].street != place.street:
                assert distance_metres(*where[i], *where[j]) > 100


def test_neighbouring_places_are_as_far_apart_on_earth_as_in_the_plan() -> None:
    for seed in (0, 1):
        places = [place for place in plan_places(60) if place.street == 2]
        street = plan_street(seed, 2)
        for here, there in pairwise(places):
            one, two = photograph_pose(seed, here, "day"), photograph_pose(seed, there, "day")
            (lat, lon, _), (other_lat, other_lon, _) = geography(street, one), geography(street, two)
            planned = math.hypot(one.x - two.x, one.y - two.y)
            assert distance_metres(lat, lon, other_lat, other_lon) == pytest.approx(planned, abs=0.01)
            first, second = nominal_pose(seed, here), nominal_pose(seed, there)
            assert abs(first.x - second.x) >= 12


def test_locations_csv_contains_the_pose_of_each_photograph(city: Path) -> None:
    street = plan_street(SEED, 0)
    for letter, domain in zip("abc", USUAL_DOMAINS, strict=True):
        with (city / f"original/domain_{letter}/train/locations.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["file"] for row in rows] == [f"street00_place{n:03d}.jpg" for n in range(3)]
        for row, place in zip(rows, [p for p in plan_places(PLACES) if p.split == "train"], strict=True):
            latitude, longitude, heading = geography(street, photograph_pose(SEED, place, domain))
            assert distance_metres(float(row["latitude"]), float(row["longitude"]), latitude, longitude) < 0.02
            assert float(row["heading"]) % 360 == pytest.approx(heading, abs=0.006)


def test_the_heading_is_the_viewing_direction_of_the_camera() -> None:
    place = plan_places(1)[0]
    street, pose = plan_street(0, place.street), nominal_pose(0, place)
    forward = pose.rotation()[:, 2]
    ahead = Pose(pose.x + 50 * forward[0], pose.y + 50 * forward[1], pose.z, pose.yaw, pose.pitch, pose.roll)
    (lat, lon, heading), (to_lat, to_lon, _) = geography(street, pose), geography(street, ahead)
    east = (to_lon - lon) * math.cos(math.radians(lat))
    bearing = math.degrees(math.atan2(east, to_lat - lat)) % 360
    assert 0 <= heading < 360
    assert (heading - bearing + 180) % 360 - 180 == pytest.approx(0, abs=0.05)


def test_between_domains_the_camera_always_moves_by_up_to_a_metre_and_eight_degrees() -> None:
    shifts, turns = [], []
    for place in plan_places(300):
        poses = [photograph_pose(0, place, domain) for domain in USUAL_DOMAINS]
        for i, one in enumerate(poses):
            for two in poses[:i]:
                shifts.append(math.dist((one.x, one.y, one.z), (two.x, two.y, two.z)))
                turns.append(angle_between(one.rotation(), two.rotation()))
    assert min(shifts) > 0 and max(shifts) <= 1.0
    assert min(turns) > 0 and max(turns) <= 8.0
    assert np.median(shifts) > 0.2 and np.median(turns) > 1.0


def test_fog_follows_koschmieders_law() -> None:
    assert extinction(100.0) == pytest.approx(0.0299573, abs=1e-7)
    wall, air = np.full((1, 3, 3), 0.2), np.array([0.8, 0.8, 0.8])
    distance, coverage = np.array([[0.0, 50.0, 100.0]]), np.ones((1, 3))
    fogged = add_fog(wall, distance, coverage, 100.0, air)[0, :, 0]
    # t = 1, 0.05 ** 0.5 = 0.2236068 and 0.05
    assert fogged == pytest.approx([0.2, 0.8 - 0.6 * 0.2236068, 0.8 - 0.6 * 0.05], abs=1e-6)


def test_in_fog_the_sky_is_airlight_and_edges_are_in_between() -> None:
    air = np.array([0.5, 0.6, 0.7])
    sky = add_fog(np.zeros((1, 1, 3)), np.zeros((1, 1)), np.zeros((1, 1)), 60.0, air)
    assert sky[0, 0] == pytest.approx(air)
    edge = add_fog(np.full((1, 1, 3), 0.1), np.zeros((1, 1)), np.full((1, 1), 0.5), 60.0, air)
    assert edge[0, 0] == pytest.approx(0.1 + 0.5 * air)


def test_visibility_is_spread_between_40_and_150_metres() -> None:
    drawn = [draw_visibility(np.random.default_rng(seed)) for seed in range(500)]
    assert MIN_VISIBILITY == 40 and MAX_VISIBILITY == 150
    assert 40 <= min(drawn) < 45 and 140 < max(drawn) <= 150


def test_exposure_follows_the_scene_with_an_error_in_stops() -> None:
    scene = np.random.default_rng(0).uniform(0.1, 1.0, (8, 8, 3))
    assert expose(1000 * scene, 0.2, 0.0) == pytest.approx(expose(scene, 0.2, 0.0))
    assert expose(scene, 0.2, 1.0) == pytest.approx(2 * expose(scene, 0.2, 0.0))


def test_sensor_noise_has_the_variance_of_photon_and_read_noise() -> None:
    flat = np.full((200, 200, 3), 0.25)
    noisy = add_sensor_noise(flat, np.random.default_rng(0), full_well=1000.0, read_noise=5.0)
    assert noisy.mean() == pytest.approx(0.25, abs=0.001)
    assert noisy.var() == pytest.approx((250 + 25) / 1000**2, rel=0.03)


def test_the_depth_that_fog_uses_is_metres_along_the_ray() -> None:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    from daco_training.city.rendering.scene import trace
    from daco_training.city.rendering.shapes import make_mesh, mitsuba

    soup = Soup()
    square = np.array([[[-99, 0, -99], [99, 0, -99], [99, 0, 99], [-99, 0, 99]]], float)
    soup.quads("paint", StreetFrame((0.0, 20.0), (1.0, 0.0)).world(square))
    wall = make_mesh("wall", soup.parts()["paint"], {"type": "diffuse"})
    scene = mitsuba().load_dict({"type": "scene", "wall": wall, "sky": {"type": "constant"}})
    seen = trace(scene, scene, Pose(0.0, 0.0, 0.0, 90.0, 0.0, 0.0), 84, 64, samples=2, seed=0, sky_shows=False)
    middle, edge, coverage = seen.distance[31:33, 41:43].mean(), seen.distance[31:33, 0].mean(), seen.coverage.min()
    slant = 20.0 * math.hypot(1.0, math.tan(math.radians(34.0)) * 83 / 84)
    assert middle == pytest.approx(20.0, abs=0.01)
    assert edge == pytest.approx(slant, abs=0.1)
    assert coverage == pytest.approx(1.0)


def test_a_facade_frame_faces_the_street_whichever_side_it_is_on() -> None:
    square = np.array([[[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]]], float)
    for frame, inward in ((StreetFrame((0.0, 5.0), (1.0, 0.0)), -1.0), (StreetFrame((9.0, -5.0), (-1.0, 0.0)), 1.0)):
        soup = Soup()
        soup.quads("facade", frame.world(square))
        part = soup.parts()["facade"]
        a, b, c = part.vertices[part.faces[0]]
        assert np.cross(b - a, c - a)[1] * inward > 0


def test_without_mitsuba_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DacoError, match=r"pip install 'daco-serve\[demo\]'"):
        make_city(tmp_path / "demo", CitySettings(places=2))
    assert not (tmp_path / "demo").exists()
