"""The frames of a folder or of a video file, one after the other, with their times."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from daco_core.errors import NotFound
from daco_core.photographs.images import list_images_below
from daco_core.photographs.natural_order import natural_key
from daco_core.recordings.video import Video, is_video

SIDE = 1024  # pixels of the longer side of a video's frame as it is sent: encoders look at less
QUALITY = 90


@dataclass(frozen=True)
class SourceFrame:
    """One frame.

    Args:
        name: what a user knows it by.
        seconds: since the first frame.
        photograph: a file, or the bytes of one.
    """

    name: str
    seconds: float
    photograph: Path | bytes


class FrameSource:
    """The frames of a folder, in the natural order of their names, or of a video file.

    Args:
        seconds: between two frames: of a folder, what lies between them; of a video, which of them are taken.

    Raises:
        NotFound: there is no such folder or video, or the folder holds no photographs.
        DacoError: the video cannot be read.
        ImportError: PyAV is not installed.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._seconds = seconds
        self._files: list[Path] = []
        self.damaged = 0
        """Packets and frames of a video that could not be decoded, once all were read."""
        self.count: int | None = None
        """How many frames there are; about, for a video, and None where its file does not say."""
        self.is_video = is_video(path)
        if self.is_video:
            with Video(path) as video:
                if video.duration is not None:
                    self.count = int(video.duration / seconds) + 1
        else:
            if not path.is_dir():
                raise NotFound(
                    f"{path} is not a folder of frames, and not a video: daco-data frames extracts those of a ROS bag."
                )
            self._files = sorted(list_images_below(path), key=lambda file: natural_key(str(file.relative_to(path))))
            if not self._files:
                raise NotFound(f"{path} holds no photographs.")
            self.count = len(self._files)

    def __iter__(self) -> Iterator[SourceFrame]:
        if not self.is_video:
            for number, file in enumerate(self._files):
                yield SourceFrame(str(file), number * self._seconds, file)
            return
        with Video(self.path) as video:
            for frame in video.frames(self._seconds):
                image = frame.image()
                image.thumbnail((SIDE, SIDE))
                content = BytesIO()
                image.convert("RGB").save(content, "jpeg", quality=QUALITY)
                yield SourceFrame(f"{self.path} at {frame.seconds:.2f} s", frame.seconds, content.getvalue())
            self.damaged = video.damaged
