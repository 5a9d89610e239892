"""Reads the frames of a folder or of a video file in order, with their times."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from daco_core.errors import NotFound
from daco_core.photographs.images import list_images_below
from daco_core.photographs.natural_order import natural_key
from daco_core.recordings.video import Video, is_video

SIDE = 1024  # pixels of the longer side of a video's frame when it is sent; encoders use fewer
QUALITY = 90


@dataclass(frozen=True)
class SourceFrame:
    """One frame.

    Args:
        name: for messages to the user.
        seconds: since the first frame.
        photograph: a file, or the bytes of one.
    """

    name: str
    seconds: float
    photograph: Path | bytes


class FrameSource:
    """The frames of a folder, in the natural order of their names, or of a video file.

    Args:
        seconds: between two frames: the interval of the frames in a folder, or at which frames of a video are taken.

    Raises:
        NotFound: there is no such folder or video, or the folder contains no photographs.
        DacoError: the video cannot be read.
        ImportError: PyAV is not installed.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._seconds = seconds
        self._files: list[Path] = []
        self.damaged = 0
        """The number of packets and frames of a video that could not be decoded, once all were read."""
        self.count: int | None = None
        """The number of frames; an estimate for a video, and None if its file does not say."""
        self.is_video = is_video(path)
        if self.is_video:
            with Video(path) as video:
                if video.duration is not None:
                    self.count = int(video.duration / seconds) + 1
        else:
            if not path.is_dir():
                raise NotFound(
                    f"{path} is neither a folder of frames nor a video. For a ROS bag, extract frames with"
                    " daco-data frames."
                )
            self._files = sorted(list_images_below(path), key=lambda file: natural_key(str(file.relative_to(path))))
            if not self._files:
                raise NotFound(f"{path} contains no photographs.")
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
