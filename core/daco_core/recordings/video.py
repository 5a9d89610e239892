"""Reads the frames of a video file with their times. Needs the package PyAV (extra `video`)."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.errors import DacoError, NotFound, reason_of

if TYPE_CHECKING:
    from av import VideoFrame as Picture  # PyAV's frame, before it is converted to RGB

SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".insv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts")
    + (".webm", ".wmv")
)
EARLIEST_YEAR = 1990  # earlier creation times come from cameras whose clock was never set
QUARTER_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class VideoFrame:
    """One frame. It is converted to RGB only when `image` is called, because most frames of a video are not used.

    Args:
        seconds: since the first frame.
        picture: the frame as PyAV decoded it.
        pixel_aspect: width of a pixel to its height.
    """

    seconds: float
    picture: "Picture"
    pixel_aspect: float = 1.0

    def image(self) -> Image.Image:
        """The frame in RGB, upright (rotated as the file says) and with square pixels."""
        image: Image.Image = self.picture.to_image()
        if self.pixel_aspect != 1:
            image = image.resize((round(image.width * self.pixel_aspect), image.height))
        turn = QUARTER_TURNS.get(round(self.picture.rotation) % 360)
        return image if turn is None else image.transpose(turn)

    def grey(self, width: int) -> NDArray[np.uint8]:
        """The frame's brightness, (height, width), with the frame's proportions and not rotated."""
        height = max(1, round(self.picture.height * width / self.picture.width))
        grey: NDArray[np.uint8] = self.picture.reformat(width=width, height=height, format="gray").to_ndarray()
        return grey


def is_video(path: Path) -> bool:
    """Whether a path is a video, by its suffix."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


class Video:
    """A video file opened for reading; use it as a context manager.

    Args:
        path: of the file.

    Raises:
        NotFound: there is no such file.
        DacoError: it is broken, or has no video stream.
        ImportError: PyAV is not installed; the commands then report the extra that installs it.
    """

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        self.damaged = 0
        """The number of packets and frames read so far that could not be decoded."""
        if not path.is_file():
            raise NotFound(f"There is no video {path}.")
        try:
            self._container: Any = av.open(str(path))
        except (av.error.FFmpegError, OSError) as error:
            raise DacoError(f"{path} cannot be read as a video: {reason_of(error)}.") from error
        if not self._container.streams.video:
            self._container.close()
            raise DacoError(f"{path} has no video stream.")
        self._stream: Any = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def created(self) -> datetime | None:
        """When the recording began by the camera's clock, in UTC; None if the file does not say."""
        for metadata in (self._container.metadata, self._stream.metadata):
            with suppress(KeyError, ValueError):
                time = datetime.fromisoformat(metadata["creation_time"])
                time = time if time.tzinfo else time.replace(tzinfo=UTC)
                if time.year >= EARLIEST_YEAR:
                    return time
        return None

    @property
    def duration(self) -> float | None:
        """The length in seconds according to the file; None if unknown."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else self._container.duration / 1e6

    def frames(self, step: float = 0.0) -> Iterator[VideoFrame]:
        """The frames in the order of their times; may be called only once.

        What cannot be decoded is left out and counted in `damaged`.

        Args:
            step: seconds between two frames: the first frame and then the next one after each step is returned;
                0 for all frames.

        Raises:
            DacoError: no frame can be decoded.
        """
        first: float | None = None
        due = 0.0
        aspect = float(self._stream.sample_aspect_ratio or 1)
        for picture in self._pictures():
            if picture.time is None:
                self.damaged += 1
                continue
            first = picture.time if first is None else first
            seconds = picture.time - first
            if seconds + 1e-6 < due:
                continue
            if step > 0:
                due = (seconds + 1e-6) // step * step + step
            yield VideoFrame(seconds, picture, aspect)
        if first is None:
            raise DacoError(f"{self.path} cannot be read as a video: none of its frames can be decoded.")

    def _pictures(self) -> "Iterator[Picture]":
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                pictures = packet.decode()
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except (av.error.InvalidDataError, av.error.UnknownError):
                self.damaged += 1
                continue
            except (av.error.FFmpegError, OSError) as error:
                raise DacoError(f"{self.path} cannot be read further: {reason_of(error)}.") from error
            for picture in pictures:
                if picture.is_corrupt:
                    self.damaged += 1
                else:
                    yield picture
