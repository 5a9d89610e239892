"""Reads robots' recordings: ROS 1 and ROS 2 bags, including MCAP. Needs the package rosbags (extra `robots`)."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.tracks import Track, TrackPoint
from daco_core.recordings.odometry import RobotPath, RobotPose, heading_of
from daco_core.recordings.ros_images import COMPRESSED, RAW, decode_image

SUFFIXES = frozenset({".bag", ".mcap", ".db3"})
METADATA = "metadata.yaml"  # in the folder of a ROS 2 bag
METADATA_MARK = b"rosbag2_bagfile_information"
SATELLITES = "sensor_msgs/msg/NavSatFix"
# where the pose is in each type of message
POSES = {
    "nav_msgs/msg/Odometry": ("pose", "pose"),
    "geometry_msgs/msg/PoseWithCovarianceStamped": ("pose", "pose"),
    "geometry_msgs/msg/PoseStamped": ("pose",),
}
NO_FIX = -1
SHARED_FRAME = "map"  # this frame is the same in each recording; others begin anew with each
NOT_VIEWS = ("depth", "disparity", "mask", "segmentation")  # topics with these words hold no photographs
# what decoding a damaged image raises
UNREADABLE = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class BagFrame:
    """One image of a bag. Its brightness is decoded already, its colours only when they are needed.

    Args:
        seconds: since the first image.
    """

    seconds: float
    message: Any
    msgtype: str
    brightness: Image.Image

    def image(self) -> Image.Image:
        """In RGB."""
        return decode_image(self.message, self.msgtype).convert("RGB")

    def grey(self, width: int) -> NDArray[np.uint8]:
        """Its brightness, (height, width)."""
        height = max(3, round(self.brightness.height * width / self.brightness.width))
        return np.asarray(self.brightness.resize((width, height), Image.Resampling.BOX))


def is_bag(path: Path) -> bool:
    """Whether a path is a bag: a file by its suffix, a folder by its metadata."""
    if path.is_dir():
        try:
            with (path / METADATA).open("rb") as file:
                return METADATA_MARK in file.read(4096)
        except OSError:
            return False
    return path.is_file() and path.suffix.lower() in SUFFIXES


class Bag:
    """A bag opened for reading; use it as a context manager.

    Args:
        path: a `.bag`, `.mcap` or `.db3` file, or the folder of a ROS 2 bag.
        image_topic: the topic whose images are the frames; None for the only one.
        position_topic: the topic of the positions; None for the only one; satellite positions come before odometry.

    Raises:
        NotFound: there is no such bag, or no such topic in it.
        UsageError: it has no images, or several topics, so that one must be named.
        DacoError: it cannot be read.
        ImportError: rosbags is not installed; the commands then report the extra that installs it.
    """

    def __init__(self, path: Path, image_topic: str | None = None, position_topic: str | None = None) -> None:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        if not path.exists():
            raise NotFound(f"There is no recording {path}.")
        self.path = path
        self.damaged = 0
        """The number of images read so far that could not be decoded."""
        self._why = ""
        try:
            self._reader: Any = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            self._reader.open()
        except Exception as error:  # rosbags raises many kinds of errors on damaged files
            raise self._unreadable(error) from error
        try:
            self.image_topic = self._find_images(image_topic)
            self.position_topic = self._find_positions(position_topic)
        except BaseException:
            self._reader.close()
            raise

    def __enter__(self) -> "Bag":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def duration(self) -> float:
        """Seconds between its first and its last message."""
        return float(self._reader.duration) / 1e9

    @property
    def start(self) -> float:
        """The time of the first image, seconds since 1970."""
        return next((time for time, _, _ in self._messages(self.image_topic)), 0.0)

    @property
    def is_local(self) -> bool:
        """Whether its positions are in the robot's own frame."""
        return self.position_topic is not None and self._types[self.position_topic] in POSES

    def frames(self) -> Iterator[BagFrame]:
        """The images in the order of recording; those that cannot be decoded are counted in `damaged`.

        Raises:
            DacoError: none of them can be decoded, or the bag is damaged.
        """
        first: float | None = None
        count = 0
        for time, message, msgtype in self._messages(self.image_topic):
            first = time if first is None else first
            try:
                brightness = decode_image(message, msgtype, shorter=240).convert("L")
            except UNREADABLE as error:
                self.damaged += 1
                self._why = self._why or str(error)
                continue
            count += 1
            yield BagFrame(max(0.0, time - first), message, msgtype, brightness)
        if not count:
            why = self._why or "there are none"
            raise DacoError(f"No image of {self.image_topic} in {self.path} can be decoded: {why}.")

    def track(self) -> Track:
        """The positions of its satellite receiver. Raises DacoError if there are fewer than two."""
        points = []
        for time, fix, _ in self._messages(self.position_topic or ""):
            if fix.status.status == NO_FIX or not (abs(fix.latitude) <= 90 and abs(fix.longitude) <= 180):
                continue
            altitude = float(fix.altitude)
            points.append(TrackPoint(time, fix.latitude, fix.longitude, altitude if math.isfinite(altitude) else None))
        if len({point.time for point in points}) < 2:
            raise UsageError(f"{self.position_topic} in {self.path} has {len(points)} positions; a track needs two.")
        return Track(points)

    def odometry(self) -> RobotPath:
        """The poses of the robot in its frame. Raises DacoError if there are fewer than two."""
        poses, frame = [], ""
        for time, message, msgtype in self._messages(self.position_topic or ""):
            frame = frame or str(message.header.frame_id)
            pose = message
            for part in POSES[msgtype]:
                pose = getattr(pose, part)
            where, turn = pose.position, pose.orientation
            numbers = (where.x, where.y, where.z, turn.x, turn.y, turn.z, turn.w)
            if all(map(math.isfinite, numbers)):
                poses.append(RobotPose(time, where.x, where.y, where.z, heading_of(turn.x, turn.y, turn.z, turn.w)))
        frame = frame.strip("/") or "odom"
        return RobotPath(poses, frame if frame == SHARED_FRAME else f"{self.path.stem}/{frame}")

    @property
    def _types(self) -> dict[str, str]:
        return {connection.topic: connection.msgtype for connection in self._reader.connections}

    def _messages(self, topic: str) -> Iterator[tuple[float, Any, str]]:
        """The messages of a topic, each with its time and type. The time is that of the header, else of recording."""
        wanted = [connection for connection in self._reader.connections if connection.topic == topic]
        try:
            for connection, received, raw in self._reader.messages(connections=wanted):
                message = self._reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp
                time = stamp.sec + stamp.nanosec / 1e9
                yield time or received / 1e9, message, connection.msgtype
        except GeneratorExit:
            raise
        except Exception as error:
            raise self._unreadable(error) from error

    def _find_images(self, named: str | None) -> str:
        topics = {name: kind for name, kind in self._types.items() if kind in (COMPRESSED, RAW)}
        if named is not None:
            return self._named(named, topics, "images")
        # a camera's raw images are often recorded together with their compressed form
        views = [
            name
            for name in topics
            if not any(word in name.lower() for word in NOT_VIEWS) and f"{name}/compressed" not in topics
        ]
        if not views:
            raise UsageError(f"{self.path} has no topic with images: {self._listed(self._types)}.")
        return self._only(views, "images", "--image-topic")

    def _find_positions(self, named: str | None) -> str | None:
        topics = {name: kind for name, kind in self._types.items() if kind == SATELLITES or kind in POSES}
        if named is not None:
            return self._named(named, topics, "positions")
        for kinds in ((SATELLITES,), *((kind,) for kind in POSES)):
            found = [name for name, kind in topics.items() if kind in kinds]
            if found:
                return self._only(found, "positions", "--position-topic")
        return None

    def _named(self, named: str, topics: dict[str, str], what: str) -> str:
        if named not in topics:
            raise NotFound(f"{self.path} has no {what} in the topic {named}; it has {self._listed(topics)}.")
        return named

    def _only(self, names: list[str], what: str, option: str) -> str:
        if len(names) > 1:
            listed = self._listed({name: self._types[name] for name in names})
            raise UsageError(f"{self.path} has several topics with {what}: name one with {option} ({listed}).")
        return names[0]

    def _listed(self, topics: dict[str, str]) -> str:
        return ", ".join(f"{name} ({kind.rpartition('/')[2]})" for name, kind in sorted(topics.items())) or "none"

    def _unreadable(self, error: Exception) -> DacoError:
        if isinstance(error, DacoError):
            return error
        reason = str(error).rstrip(".") or type(error).__name__
        return DacoError(
            f"{self.path} cannot be read as a robot's recording: {reason}. If it ends in the middle, mcap recover or"
            " rosbag reindex repairs it."
        )
