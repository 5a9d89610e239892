"""Recordings of robots, ROS 1 and 2, become photographs with positions on the earth or in the robot's frame."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.extras import missing_package
from daco_core.photographs.images import list_images, open_rgb
from daco_core.photographs.plane import metres_from
from daco_core.photographs.positions import read_positions
from daco_core.recordings.arguments import RecordingArguments
from daco_core.recordings.bag import Bag, is_bag
from daco_core.recordings.odometry import RobotPath, RobotPose, heading_of
from daco_core.recordings.recording import extract_recording, is_recording
from daco_core.recordings.ros_images import RAW, decode_image

from ..recording_files import BagContents, raw_pixels, street, write_bag, write_gpx

pytest.importorskip("rosbags")

CAMERA = {"/camera/image/compressed": "compressed"}


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ROS 2 with an MCAP file, images and positions of satellites."""
    return write_bag(tmp_path_factory.mktemp("bag") / "drive", BagContents(satellites=["/gps/fix"]))


def _eastings(folder: Path) -> list[float]:
    metres = []
    for location in read_positions(folder).values():
        assert location.latitude is not None and location.longitude is not None
        metres.append(metres_from((50.0, 10.0), location.latitude, location.longitude)[0])
    return sorted(metres)


def test_the_images_of_a_drive_get_the_positions_of_its_satellite_receiver(drive: Path, tmp_path: Path) -> None:
    done = extract_recording(drive, tmp_path / "frames", RecordingArguments(every="5m").parse(), progress=False)
    assert (done.read, done.kept, done.unlocated, done.damaged) == (40, 4, 5, 0)  # the first fix has no position
    assert _eastings(done.folder) == pytest.approx([2.5, 7.5, 12.5, 17.5], abs=0.1)
    locations = read_positions(done.folder).values()
    assert [location.heading for location in locations] == pytest.approx([90.0] * 4, abs=0.1)
    assert {location.altitude for location in locations} == {300.0}
    taken = np.asarray(open_rgb(list_images(done.folder)[0]), float)
    assert np.abs(taken - np.asarray(street(40)[5], float)).mean() < 15  # it is the fifth frame, twice compressed
    assert np.abs(taken - np.asarray(street(40)[6], float)).mean() > 40


@pytest.mark.parametrize("kind", ["sqlite3", "ros1", "single"])
def test_every_kind_of_bag_is_read(kind: str, drive: Path, tmp_path: Path) -> None:
    if kind == "single":
        (bag,) = drive.glob("*.mcap")
    else:
        name = "drive.bag" if kind == "ros1" else "drive"
        bag = write_bag(tmp_path / name, BagContents(satellites=["/gps/fix"]), kind)
    assert is_bag(bag) and is_recording(bag)
    done = extract_recording(bag, tmp_path / "frames", RecordingArguments(every="5m").parse(), progress=False)
    assert _eastings(done.folder) == pytest.approx([2.5, 7.5, 12.5, 17.5], abs=0.1)


def test_odometry_gives_metres_in_the_robots_frame(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "hall", BagContents(odometry=["/odom"], images={"/image_raw": "bgr8"}))
    done = extract_recording(bag, tmp_path / "frames", RecordingArguments(camera_yaw=10).parse(), progress=False)
    locations = [location for _, location in sorted(read_positions(done.folder).items())]
    assert len(locations) == 20  # 20 metres, one every metre
    assert [location.x for location in locations[:3]] == pytest.approx([0.0, 1.0, 2.0], abs=0.01)
    assert {(location.y, location.z, location.frame) for location in locations} == {(1.0, 0.2, "hall/odom")}
    # 30 degrees to the left of the x axis, which is 60 clockwise of the y axis; the camera looks 10 further
    assert [location.heading for location in locations] == pytest.approx([70.0] * 20, abs=0.01)


def test_a_bag_without_positions_gives_frames_by_time_or_along_a_gpx_track(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive", BagContents())
    done = extract_recording(bag, tmp_path / "a", RecordingArguments().parse(), progress=False)
    assert done.kept == 4 and read_positions(done.folder) == {}
    track = write_gpx(tmp_path / "drive.gpx", 10)
    done = extract_recording(bag, tmp_path / "b", RecordingArguments(track, "10m", offset="+1").parse(), progress=False)
    assert _eastings(done.folder) == pytest.approx([5.0, 15.0], abs=0.1)
    with pytest.raises(UsageError, match="needs positions"):
        extract_recording(bag, tmp_path / "c", RecordingArguments(every="1m").parse(), progress=False)
    late = write_gpx(tmp_path / "late.gpx", 10, "2026-05-02T10:00:00+00:00")
    with pytest.raises(UsageError, match="do not overlap in time"):
        extract_recording(bag, tmp_path / "d", RecordingArguments(late).parse(), progress=False)


def test_a_single_topic_is_found_and_several_must_be_chosen_from(tmp_path: Path) -> None:
    images = {"/left/image": "bgr8", "/left/image/compressed": "compressed", "/depth/image": "mono16"}
    one = write_bag(tmp_path / "one", BagContents(images=images, satellites=["/fix"], odometry=["/odom"], seconds=1))
    with Bag(one) as bag:
        assert (bag.image_topic, bag.position_topic) == ("/left/image/compressed", "/fix")
    with Bag(one, "/depth/image", "/odom") as bag:
        assert (bag.image_topic, bag.position_topic, bag.is_local) == ("/depth/image", "/odom", True)
    two = {"/left": "mono8", "/right": "mono8"}
    stereo = write_bag(tmp_path / "two", BagContents(images=two, satellites=["/a", "/b"], seconds=1))
    with pytest.raises(UsageError, match=r"several topics with images: .*--image-topic \(/left \(Image\), /right"):
        Bag(stereo)
    with pytest.raises(UsageError, match=r"several topics with positions: .*--position-topic"):
        Bag(stereo, "/left")
    with pytest.raises(NotFound, match=r"no images in the topic /front; it has /left \(Image\), /right \(Image\)"):
        Bag(stereo, "/front")
    blind = write_bag(tmp_path / "blind", BagContents(images={}, satellites=["/fix"], seconds=1))
    with pytest.raises(UsageError, match=r"no topic with images: /fix \(NavSatFix\)"):
        Bag(blind)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "bgra8", "uyvy", "mono8", "mono16", "bayer_rggb8"])
def test_raw_images_have_the_colours_that_the_camera_saw(encoding: str) -> None:
    image = street(1)[0]
    data = raw_pixels(image, encoding)
    message = SimpleNamespace(
        encoding=encoding, height=120, width=160, step=data.size // 120, is_bigendian=0, data=data.reshape(-1)
    )
    seen = decode_image(message, RAW)
    expected = image.convert("L") if encoding.startswith("mono") else image
    if encoding.startswith("bayer"):
        assert seen.size == (80, 60)  # a pixel for each red, green and blue
        expected = image.resize(seen.size)
    brightest = np.asarray(expected, float).max() / 255 if encoding == "mono16" else 1.0  # 16 bits are spread
    difference = np.asarray(seen, float) * brightest - np.asarray(expected, float)
    assert np.abs(difference).mean() < (3 if encoding not in ("uyvy", "bayer_rggb8") else 6)


def test_images_that_cannot_be_decoded_are_counted(drive: Path, tmp_path: Path) -> None:
    (bag,) = drive.glob("*.mcap")
    with Bag(bag) as opened:
        read = opened._messages

        def damaged(topic: str) -> object:
            for number, (time, message, msgtype) in enumerate(read(topic)):
                if number % 2:
                    message.data = message.data[:400]
                yield time, message, msgtype

        opened._messages = damaged  # type: ignore[method-assign, assignment]
        assert len(list(opened.frames())) == 20
        assert opened.damaged == 20


def test_a_file_that_is_no_bag_is_reported_in_one_sentence(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = drive.glob("*.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(DacoError, match=r"cut\.mcap cannot be read as a robot's recording"):
        Bag(cut)
    with pytest.raises(NotFound, match="no recording"):
        extract_recording(tmp_path / "gone.bag", tmp_path / "frames", RecordingArguments().parse(), progress=False)
    with pytest.raises(UsageError, match="omit --start"):
        extract_recording(drive, tmp_path / "frames", RecordingArguments(start="track").parse(), progress=False)
    (tmp_path / "metadata.yaml").write_text("title: a folder of photographs\n")
    assert not is_bag(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "rosbags.highlevel", None)
    with pytest.raises(ImportError) as missing:
        Bag(drive)
    assert missing_package(missing.value) is not None and "daco-serve[robots]" in str(missing_package(missing.value))


def test_a_robot_that_stands_still_covers_no_distance_and_a_gap_has_no_positions() -> None:
    rng = np.random.default_rng(0)
    still = [RobotPose(second / 10, *rng.normal(0, 0.01, 3), 350.0) for second in range(50)]
    away = [RobotPose(30.0, 10.0, 0.0, 0.0, 350.0), RobotPose(31.0, 11.0, 0.0, 0.0, 10.0)]
    odometry = RobotPath([*still, *away], "map")
    waypoint = odometry.at(4.5)
    assert waypoint is not None and waypoint.distance == 0
    assert odometry.at(20.0) is None and odometry.at(32.0) is None
    last = odometry.at(30.5)
    assert last is not None and last.distance == pytest.approx(10.5, abs=0.1)
    assert last.location.heading == pytest.approx(0.0)  # half way from 350 to 10
    assert (heading_of(0, 0, 0, 1), heading_of(0, 0, 0.5**0.5, 0.5**0.5)) == pytest.approx((90.0, 0.0))
    with pytest.raises(UsageError, match="fewer than two"):
        RobotPath(still[:1], "map")
