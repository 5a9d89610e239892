"""Videos are read as upright frames with their times."""

import struct
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from daco_core.errors import DacoError, NotFound
from daco_core.extras import missing_package
from daco_core.recordings.video import Video

from ..recording_files import write_video

pytest.importorskip("av")


def _frames(count: int = 20) -> list[Image.Image]:
    """Frames that grow brighter, with a white corner at the top left."""
    frames = [Image.new("RGB", (96, 64), (number * 8,) * 3) for number in range(count)]
    for frame in frames:
        frame.paste("white", (0, 0, 16, 16))
    return frames


@pytest.fixture(scope="module")
def ride(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "ride.mp4", _frames())


def test_frames_come_in_order_with_their_seconds_and_content(ride: Path) -> None:
    with Video(ride) as video:
        frames = list(video.frames())
    assert [frame.seconds for frame in frames] == pytest.approx([number / 10 for number in range(20)])
    for number, frame in enumerate(frames):
        assert frame.image().size == (96, 64)
        assert frame.image().getpixel((60, 40)) == pytest.approx((number * 8,) * 3, abs=6)
        assert frame.grey(48).shape == (32, 48)


def test_a_step_takes_the_first_frame_of_each_interval(ride: Path) -> None:
    with Video(ride) as video:
        assert [frame.seconds for frame in video.frames(0.5)] == pytest.approx([0.0, 0.5, 1.0, 1.5])
    with Video(ride) as video:  # no multiple of the time between two frames: no drift
        assert [frame.seconds for frame in video.frames(0.25)] == pytest.approx([0, 0.3, 0.5, 0.8, 1, 1.3, 1.5, 1.8])


def test_a_video_gives_its_time_of_recording_and_its_duration(ride: Path, tmp_path: Path) -> None:
    with Video(ride) as video:
        assert video.created == datetime(2026, 5, 1, 10, tzinfo=UTC)
        assert video.duration == pytest.approx(2.0)
    for created in (None, "1970-01-01T00:00:00Z"):
        with Video(write_video(tmp_path / "unset.mp4", _frames(2), created=created)) as video:
            assert video.created is None


def test_a_video_taken_upright_with_a_phone_is_rotated(ride: Path, tmp_path: Path) -> None:
    content = bytearray(ride.read_bytes())
    header = content.index(b"tkhd")
    matrix = content.index(struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), header)
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    with Video(turned) as video:
        image = next(video.frames()).image()
    assert image.size == (64, 96)  # a quarter turn clockwise: the corner at the top left is at the top right
    assert min(image.getpixel((60, 4))) > 200 and max(image.getpixel((4, 4))) < 60  # type: ignore[arg-type, type-var]


def test_a_file_that_is_no_video_is_reported_in_one_sentence(ride: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no video .*gone\.mp4"):
        Video(tmp_path / "gone.mp4")
    cut = tmp_path / "cut.mp4"  # its table of contents, at the end, is missing
    cut.write_bytes(ride.read_bytes().partition(b"moov")[0][:-4])
    with pytest.raises(DacoError, match=r"cut\.mp4 cannot be read as a video"):
        Video(cut)
    with pytest.raises(DacoError, match=r"has no video stream"):
        Video(_write_sound(tmp_path / "sound.mp4"))


def test_without_pyav_the_error_names_the_extra(ride: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError) as missing:
        Video(ride)
    assert missing_package(missing.value) == "This needs av, which is not installed: pip install 'daco-serve[video]'."


def test_frames_that_cannot_be_decoded_are_counted(tmp_path: Path) -> None:
    broken = write_video(tmp_path / "broken.avi", _frames(40))
    content = bytearray(broken.read_bytes())
    for packet in range(10, 14):  # whole frames of nothing
        start = _nth(content, b"00dc", packet) + 8
        size = int.from_bytes(content[start - 4 : start], "little")
        content[start : start + size] = bytes(size)
    broken.write_bytes(content)
    with Video(broken) as video:
        read = sum(1 for _ in video.frames())
        assert 0 < read < 40
        assert video.damaged + read == 40


def _nth(content: bytearray, mark: bytes, number: int) -> int:
    at = -1
    for _ in range(number + 1):
        at = content.index(mark, at + 1)
    return at


def _write_sound(path: Path) -> Path:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
