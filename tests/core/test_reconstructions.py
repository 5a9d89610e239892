"""Cameras of COLMAP, kapture and NeRF reconstructions become positions in a local frame."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.locations import PhotoLocation
from daco_core.photographs.reconstructions import (
    CameraNames,
    find_reconstruction,
    place_cameras,
    read_reconstruction,
)

Placed = dict[str, tuple[tuple[float, float, float], float]]
# of each photograph: its centre with z upwards, and its heading
HALL: Placed = {
    "hall/000.jpg": ((0.0, 0.0, 1.5), 0.0),
    "hall/001.jpg": ((3.0, 4.0, 1.6), 90.0),
    "hall/002.jpg": ((-2.0, 1.0, 1.5), 225.0),
}


def _world_to_camera(centre: tuple[float, float, float], heading: float) -> tuple[np.ndarray, np.ndarray]:
    """The pose of an upright camera, its axes to the right, downwards and forwards."""
    turn = math.radians(heading)
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [0, 0, -1], [math.sin(turn), math.cos(turn), 0]])
    return rotation, -rotation @ np.array(centre)


def _check(locations: dict[str, PhotoLocation], expected: Placed = HALL, scale: float = 1.0) -> None:
    assert set(locations) == set(expected)
    for name, (centre, heading) in expected.items():
        location = locations[name]
        assert (location.x, location.y, location.z) == pytest.approx(tuple(scale * part for part in centre), abs=1e-6)
        assert location.heading is not None
        assert (location.heading - heading + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that pycolmap writes, in both forms."""
    pycolmap = pytest.importorskip("pycolmap")
    root = tmp_path_factory.mktemp("colmap")
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(
        pycolmap.Camera(model="SIMPLE_PINHOLE", width=640, height=480, params=[500, 320, 240], camera_id=1)
    )
    for number, (name, (centre, heading)) in enumerate(HALL.items(), start=1):
        image = pycolmap.Image(name=name, camera_id=1, image_id=number)
        points = [pycolmap.Point2D(np.array([10.0, 20.0]))] * (number - 1)
        image.points2D = pycolmap.Point2DList(points)
        rotation, translation = _world_to_camera(centre, heading)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), translation)
        reconstruction.add_image_with_trivial_frame(image, pose)
    for form in ("binary", "text"):
        (root / form).mkdir()
        getattr(reconstruction, f"write_{form}")(str(root / form))
    return root


@pytest.mark.parametrize("form", ["binary", "text"])
def test_a_colmap_model_gives_camera_centres_and_headings(model: Path, form: str) -> None:
    placed = place_cameras(read_reconstruction(model / form))
    assert placed.up == "z"
    _check(placed.locations)
    _check(place_cameras(read_reconstruction(model / form), scale=2.5).locations, scale=2.5)


def test_a_kapture_folder_gives_camera_centres_and_headings_also_of_rigs(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    sensors = tmp_path / "sensors"
    sensors.mkdir()
    rows, records = [], []
    for number, (name, (centre, heading)) in enumerate(HALL.items()):
        rotation, translation = _world_to_camera(centre, heading)
        x, y, z, w = pycolmap.Rotation3d(rotation).quat
        rows.append(", ".join(map(str, (number, "rig", w, x, y, z, *translation))))
        records.append(f"{number}, cam, {name}")
    # a second camera of the rig that looks to its right: 90 degrees about the camera's axis downwards
    back, half = "hall/right.jpg", math.sqrt(0.5)
    records.append(f"0, side, {back}")
    (sensors / "trajectories.txt").write_text("# kapture format: 1.1\n" + "\n".join([*rows, "7, rig, , , , , 1, 2, 3"]))
    (sensors / "records_camera.txt").write_text("# kapture format: 1.1\n" + "\n".join([*records, "7, cam, lost.jpg"]))
    (sensors / "rigs.txt").write_text(
        f"# kapture format: 1.1\nrig, cam, 1, 0, 0, 0, 0, 0, 0\nrig, side, {half}, 0, {-half}, 0, 0, 0, 0\n"
    )
    _check(place_cameras(read_reconstruction(tmp_path)).locations, HALL | {back: ((0.0, 0.0, 1.5), 90.0)})


def test_a_transforms_json_gives_camera_centres_and_headings(tmp_path: Path) -> None:
    frames = []
    for name, (centre, heading) in HALL.items():
        rotation, _ = _world_to_camera(centre, heading)
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.T @ np.diag([1, -1, -1])  # camera to world, its axes to the right, upwards, backwards
        matrix[:3, 3] = centre
        frames.append({"file_path": f"./{name}", "transform_matrix": matrix.tolist()})
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 500, "frames": frames}))
    _check(place_cameras(read_reconstruction(tmp_path)).locations)
    _check(place_cameras(read_reconstruction(tmp_path / "transforms.json")).locations)


def test_a_frame_that_is_not_upright_is_turned(model: Path) -> None:
    """COLMAP's frame is often that of its first camera: to the right, downwards, forwards."""
    from daco_core.photographs.reconstructions.camera import Camera

    upright = read_reconstruction(model / "text")
    first = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # of the frame with z upwards to that of the first camera
    turned = [Camera(one.name, first @ one.centre, first @ one.forward, first @ one.up) for one in upright]
    placed = place_cameras(turned)
    assert placed.up == "-y"
    _check(placed.locations)
    _check(place_cameras(turned, up="-y").locations)
    tilt = np.array([[1, 0, 0], [0, math.cos(0.7), -math.sin(0.7)], [0, math.sin(0.7), math.cos(0.7)]])
    tilted = [Camera(one.name, tilt @ one.centre, tilt @ one.forward, tilt @ one.up) for one in upright]
    _check(place_cameras(tilted).locations)
    one = upright[0]
    disagreeing = [Camera(one.name, one.centre, one.forward, sign * one.up) for sign in (1, -1)]
    with pytest.raises(UsageError, match="upward direction cannot be found"):
        place_cameras(disagreeing)
    downwards = [Camera("drone.jpg", np.zeros(3), np.array([0.1, 0.0, -0.995]), np.array([0.0, 1.0, 0.0]))]
    assert place_cameras(downwards, up="z").locations["drone.jpg"].heading is None


def test_photographs_are_found_by_the_names_of_the_reconstruction() -> None:
    one, other = PhotoLocation(None, None, x=1.0, y=0.0), PhotoLocation(None, None, x=2.0, y=0.0)
    names = CameraNames({"hall/1.jpg": one, "./images/2": other, "1.jpg": other})
    assert names.of(Path("/data/set/hall/1.jpg")) is one  # of the longest name
    assert names.of(Path("/data/set/room/1.jpg")) is other
    assert names.of(Path("/data/set/images/2.png")) is other
    assert names.of(Path("/data/set/images/3.png")) is None


def test_reconstructions_are_found_in_their_usual_folders(model: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "images"
    photographs.mkdir()
    assert find_reconstruction(photographs) is None
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse" / "0").symlink_to(model / "binary")
    assert find_reconstruction(photographs) == tmp_path / "sparse" / "0"
    (tmp_path / "sparse" / "1").symlink_to(model / "text")
    with pytest.raises(UsageError, match=r"several models \(0, 1\)"):
        find_reconstruction(photographs)
    kapture = tmp_path / "set" / "sensors" / "records_data"
    kapture.mkdir(parents=True)
    for name in ("trajectories.txt", "records_camera.txt"):
        (kapture.parent / name).write_text("")
    assert find_reconstruction(kapture) == tmp_path / "set"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("images.bin", b"\x05\0\0\0\0\0\0\0short", "cannot be read as a reconstruction"),
        ("images.txt", b"1 2 3\n", "not an image with its pose"),
        ("images.txt", b"1 0 0 0 0 1 2 3 1 a.jpg\n\n", "quaternion is 0"),
        ("images.txt", b"# none\n", "no camera with a pose"),
        ("transforms.json", b'{"frames": [{"file_path": "a", "transform_matrix": [[1]]}]}', "4 rows and columns"),
        ("transforms.json", b"[]", "cannot be read as a reconstruction"),
        ("other.txt", b"", "give a COLMAP model"),
    ],
)
def test_an_unreadable_reconstruction_is_reported_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DacoError, match=sentence):
        read_reconstruction(tmp_path)
    with pytest.raises(NotFound):
        read_reconstruction(tmp_path / "gone")
