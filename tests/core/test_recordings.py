"""Frames of a video become photographs with positions."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.images import list_images
from daco_core.photographs.plane import metres_from
from daco_core.photographs.positions import read_positions
from daco_core.recordings.arguments import RecordingArguments
from daco_core.recordings.extraction import RECORD_FILE
from daco_core.recordings.frame_selection import BlurDetector, parse_interval, sharpness
from daco_core.recordings.recording import RecordingOptions, extract_recording

from ..recording_files import street, write_gpx, write_video

pytest.importorskip("av")


@pytest.fixture(scope="module")
def ride(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds at 10 frames a second."""
    return write_video(tmp_path_factory.mktemp("ride") / "ride.mp4", street(80))


def _options(
    track: Path | None = None, every: str | None = None, start: str | None = None, **others: str
) -> RecordingOptions:
    return RecordingArguments(track, every, start, others.get("offset", "0"), float(others.get("yaw", 0))).parse()


def _eastings(folder: Path) -> list[float]:
    """Metres east of the start of the way, in the order of the frames; all are on it."""
    metres = []
    for _, location in sorted(read_positions(folder).items()):
        assert location.latitude is not None and location.longitude is not None
        east, north = metres_from((50.0, 10.0), location.latitude, location.longitude)
        assert abs(north) < 0.1
        metres.append(east)
    return metres


def test_frames_are_evenly_spaced_in_metres_and_have_the_heading_of_the_track(ride: Path, tmp_path: Path) -> None:
    track = write_gpx(tmp_path / "ride.gpx", 20)
    done = extract_recording(ride, tmp_path / "frames", _options(track, "5m"), progress=False)
    assert (done.read, done.kept, done.blurred, done.unlocated, done.damaged) == (80, 8, 0, 0, 0)
    assert [path.name for path in list_images(done.folder)][:2] == ["ride_000000.000s.jpg", "ride_000001.000s.jpg"]
    assert _eastings(done.folder) == pytest.approx([5.0 * number for number in range(8)], abs=0.1)
    headings = [location.heading for location in read_positions(done.folder).values()]
    assert headings == pytest.approx([90.0] * 8, abs=0.1)
    taken = Image.open(list_images(done.folder)[1])
    difference = np.asarray(taken, float) - np.asarray(street(80)[10], float)
    assert np.abs(difference).mean() < 12  # it is the tenth frame, twice compressed
    assert np.abs(np.asarray(taken, float) - np.asarray(street(80)[12], float)).mean() > 40


def test_frames_can_be_taken_by_time_with_a_corrected_clock(ride: Path, tmp_path: Path) -> None:
    track = write_gpx(tmp_path / "ride.gpx", 20)
    done = extract_recording(ride, tmp_path / "a", _options(track, "2s", offset="+3"), progress=False)
    assert _eastings(done.folder) == pytest.approx([15.0, 25.0, 35.0, 45.0], abs=0.1)
    start = "2026-05-01T12:00:05+02:00"
    done = extract_recording(ride, tmp_path / "b", _options(track, "4s", start, yaw="90"), progress=False)
    assert _eastings(done.folder) == pytest.approx([25.0, 45.0], abs=0.1)
    assert [location.heading for location in read_positions(done.folder).values()] == pytest.approx(
        [180.0] * 2, abs=0.1
    )
    done = extract_recording(ride, tmp_path / "c", _options(track, "4s", "track"), progress=False)
    assert _eastings(done.folder) == pytest.approx([0.0, 20.0], abs=0.1)


def test_a_video_without_a_track_gives_frames_by_time_without_positions(ride: Path, tmp_path: Path) -> None:
    done = extract_recording(ride, tmp_path / "frames", _options(), progress=False)
    assert done.kept == 8
    assert read_positions(done.folder) == {}
    with pytest.raises(UsageError, match="needs positions"):
        extract_recording(ride, tmp_path / "metres", _options(every="5m"), progress=False)
    assert not (tmp_path / "metres").exists()


def test_frames_outside_of_the_track_are_left_out_and_counted(ride: Path, tmp_path: Path) -> None:
    track = write_gpx(tmp_path / "ride.gpx", 3)
    done = extract_recording(ride, tmp_path / "frames", _options(track, "1s"), progress=False)
    assert (done.kept, done.unlocated) == (4, 49)
    assert "left out: 49 without a position on the track" in str(done)


def test_a_track_of_another_time_is_rejected_with_both_times_and_a_fitting_offset(ride: Path, tmp_path: Path) -> None:
    track = write_gpx(tmp_path / "ride.gpx", 20, "2026-05-01T08:00:00+00:00")
    with pytest.raises(UsageError, match=r"from 2026-05-01 10:00:00 to 2026-05-01 10:00:08, .*--offset -2h"):
        extract_recording(ride, tmp_path / "frames", _options(track), progress=False)
    done = extract_recording(ride, tmp_path / "frames", _options(track, "4s", offset="-2h"), progress=False)
    assert _eastings(done.folder) == pytest.approx([0.0, 20.0], abs=0.1)
    undated = write_video(tmp_path / "undated.mp4", street(3), created=None)
    with pytest.raises(UsageError, match="does not contain its time of recording: give --start"):
        extract_recording(undated, tmp_path / "more", _options(track), progress=False)
    with pytest.raises(UsageError, match="'noon' is not a time"):
        extract_recording(undated, tmp_path / "more", _options(track, start="noon"), progress=False)


def test_a_blurred_frame_is_left_out_and_the_next_sharp_one_taken(tmp_path: Path) -> None:
    frames = street(40)
    for number in (20, 21):
        frames[number] = frames[number].filter(ImageFilter.GaussianBlur(5))
    ride = write_video(tmp_path / "ride.mp4", frames)
    done = extract_recording(ride, tmp_path / "frames", _options(every="1s"), progress=False)
    names = [path.name for path in list_images(done.folder)]
    assert names == [f"ride_{seconds:010.3f}s.jpg" for seconds in (0, 1, 2.2, 3.2)]
    assert done.blurred == 2


def test_a_scene_with_little_contrast_is_not_taken_for_blurred() -> None:
    """Sharpness is compared with that of the frames before, not with a fixed number."""
    rng = np.random.default_rng(0)
    fog = BlurDetector()
    assert not any(fog.is_blurred(rng.integers(100, 110, (60, 80), dtype=np.uint8)) for _ in range(40))
    assert fog.is_blurred(np.full((60, 80), 105, np.uint8))
    assert sharpness(np.zeros((9, 9), np.uint8)) == 0


def test_frames_are_extracted_once_and_other_settings_use_another_folder(ride: Path, tmp_path: Path) -> None:
    first = extract_recording(ride, tmp_path, _options(every="1s"), own_folder=True, progress=False)
    list_images(first.folder)[0].unlink()  # such as one that shows a face
    again = extract_recording(ride, tmp_path, _options(every="1s"), own_folder=True, progress=False)
    assert again.before and again.folder == first.folder and again.kept == first.kept
    assert len(list_images(first.folder)) == first.kept - 1
    other = extract_recording(ride, tmp_path, _options(every="2s"), own_folder=True, progress=False)
    assert other.folder != first.folder and other.folder.name.startswith("ride-2s-")
    with pytest.raises(UsageError, match="other settings"):
        extract_recording(ride, first.folder, _options(every="4s"), progress=False)
    (tmp_path / "mine").mkdir()
    street(1)[0].save(tmp_path / "mine" / "own.jpg")
    with pytest.raises(UsageError, match="already contains photographs"):
        extract_recording(ride, tmp_path / "mine", _options(), progress=False)
    with pytest.raises(UsageError, match=r"own\.jpg is a file: name an empty or new folder"):
        extract_recording(ride, tmp_path / "mine" / "own.jpg", _options(), progress=False)


def test_an_extraction_that_was_stopped_is_resumed(ride: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from daco_core.recordings.video import Video, VideoFrame

    whole = Video.frames

    def stop_half_way(video: Video, step: float = 0.0) -> Iterator[VideoFrame]:
        for frame in whole(video, step):
            if frame.seconds > 4:
                raise KeyboardInterrupt
            yield frame

    track = write_gpx(tmp_path / "ride.gpx", 20)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Video, "frames", stop_half_way)
        extract_recording(ride, tmp_path / "frames", _options(track), progress=False)
    written = {path: path.stat().st_mtime_ns for path in list_images(tmp_path / "frames")}
    assert len(written) == 5
    done = extract_recording(ride, tmp_path / "frames", _options(track), progress=False)
    assert not done.before and done.kept == 8
    assert len(_eastings(done.folder)) == 8
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert json.loads((done.folder / RECORD_FILE).read_text())["complete"]


def test_the_table_of_positions_is_one_that_people_can_read(ride: Path, tmp_path: Path) -> None:
    track = write_gpx(tmp_path / "ride.gpx", 20)
    done = extract_recording(ride, tmp_path / "frames", _options(track), progress=False)
    with (done.folder / "locations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and rows[0]["file"] == "ride_000000.000s.jpg" and float(rows[0]["heading"]) == 90
    assert [float(row["altitude"]) for row in rows] == pytest.approx([100.0 + second for second in range(8)], abs=0.02)


@pytest.mark.parametrize("text", ["5", "m", "0m", "-1s", "5km", ""])
def test_an_invalid_interval_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="give metres such as 5m, or seconds such as 1s"):
        parse_interval(text)


def test_a_broken_video_is_rejected(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(DacoError, match="cannot be read as a video"):
        extract_recording(broken, tmp_path / "frames", _options(), progress=False)
    assert not (tmp_path / "frames").exists()
