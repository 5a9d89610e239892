"""Recordings for tests, written with the usual libraries: videos (PyAV), tracks (gpxpy), bags (rosbags)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.photographs.plane import degrees_from


def write_video(
    path: Path, frames: Sequence[Image.Image], rate: int = 10, created: str | None = "2026-05-01T10:00:00Z"
) -> Path:
    """A video of these frames, all of one size; `created` is when its recording began."""
    import av

    with av.open(str(path), "w") as container:
        if created is not None:
            container.metadata["creation_time"] = created
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return path


def write_gpx(path: Path, seconds: int, start: str = "2026-05-01T10:00:00+00:00", metres_a_second: float = 5.0) -> Path:
    """A way to the east from 50 N, 10 E with a position each second."""
    from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment

    points = [
        GPXTrackPoint(
            *degrees_from((50.0, 10.0), metres_a_second * second, 0.0),
            elevation=100.0 + second,
            time=datetime.fromisoformat(start) + timedelta(seconds=second),
        )
        for second in range(seconds + 1)
    ]
    document = GPX()
    document.tracks.append(GPXTrack())
    document.tracks[0].segments.append(GPXTrackSegment(points))
    path.write_text(document.to_xml())
    return path


def street(count: int, size: tuple[int, int] = (160, 120)) -> list[Image.Image]:
    """Frames of a camera that moves past a wall of coloured blocks, no two of them alike."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (12, 8 * count + 16, 3), dtype=np.uint8)
    wall = Image.fromarray(blocks).resize((blocks.shape[1] * 10, 120), Image.Resampling.NEAREST)
    return [wall.crop((number * 80, 0, number * 80 + size[0], size[1])) for number in range(count)]


def sphere_metadata(**fields: str) -> bytes:
    """XMP that makes a picture a panorama: Google's Photo Sphere fields, as cameras write them."""
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in fields.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"'
        f' GPano:ProjectionType="equirectangular" {attributes}/></rdf:RDF></x:xmpmeta>'
    ).encode()


@dataclass(frozen=True)
class BagContents:
    """What a bag of a robot holds that drives to the east, from 50 N, 10 E or the origin of its frame, at 5 m/s.

    Args:
        images: topic to the images, one each tenth of a second, as `compressed` or in a raw encoding.
        satellites, odometry: topics of its positions, one each half second.
        seconds: of the drive.
    """

    images: dict[str, str] = field(default_factory=lambda: {"/camera/image/compressed": "compressed"})
    satellites: Sequence[str] = ()
    odometry: Sequence[str] = ()
    seconds: int = 4


def write_bag(path: Path, contents: BagContents, kind: str = "mcap") -> Path:
    """A bag, written by rosbags: `mcap` or `sqlite3` for a folder of ROS 2, `ros1` for a file."""
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC if kind == "ros1" else Stores.ROS2_HUMBLE)
    begin = round(datetime.fromisoformat("2026-05-01T10:00:00+00:00").timestamp() * 1e9)
    plugin = StoragePlugin.SQLITE3 if kind == "sqlite3" else StoragePlugin.MCAP
    opened: Any = Writer1(path) if kind == "ros1" else Writer(path, version=9, storage_plugin=plugin)
    with opened as writer:
        for topic, messages in _messages(store, contents, begin, kind == "ros1"):
            connection = writer.add_connection(topic, messages[0][1].__msgtype__, typestore=store)
            for time, message in messages:
                serialize = store.serialize_ros1 if kind == "ros1" else store.serialize_cdr
                writer.write(connection, time, serialize(message, message.__msgtype__))
    return path


def _messages(store: Any, contents: BagContents, begin: int, is_ros1: bool) -> Iterator[tuple[str, list[Any]]]:
    types = store.types

    def header(time: int, frame: str) -> Any:
        stamp = types["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame, **({"seq": 0} if is_ros1 else {}))

    frames = street(contents.seconds * 10)
    for topic, encoding in contents.images.items():
        images = []
        for number, frame in enumerate(frames):
            time = begin + number * 10**8
            if encoding == "compressed":
                content = BytesIO()
                frame.save(content, "JPEG", quality=95)
                data = np.frombuffer(content.getvalue(), np.uint8)
                kind = types["sensor_msgs/msg/CompressedImage"]
                images.append((time, kind(header=header(time, "camera"), format="jpeg", data=data)))
            else:
                pixels = raw_pixels(frame, encoding)
                image = types["sensor_msgs/msg/Image"](
                    header=header(time, "camera"),
                    height=frame.height,
                    width=frame.width,
                    encoding=encoding,
                    is_bigendian=0,
                    step=pixels.size // frame.height,
                    data=pixels.reshape(-1),
                )
                images.append((time, image))
        yield topic, images
    for topic in contents.satellites:
        fixes = []
        for number in range(contents.seconds * 2 + 1):
            time = begin + number * 5 * 10**8
            latitude, longitude = degrees_from((50.0, 10.0), 2.5 * number, 0.0)
            fix = types["sensor_msgs/msg/NavSatFix"](
                header=header(time, "gps"),
                status=types["sensor_msgs/msg/NavSatStatus"](status=0 if number else -1, service=1),
                latitude=latitude if number else float("nan"),
                longitude=longitude,
                altitude=300.0,
                position_covariance=np.zeros(9),
                position_covariance_type=0,
            )
            fixes.append((time, fix))
        yield topic, fixes
    for topic in contents.odometry:
        poses = []
        for number in range(contents.seconds * 2 + 1):
            time = begin + number * 5 * 10**8
            vector, turn = types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0), math.radians(30) / 2
            pose = types["geometry_msgs/msg/Pose"](
                position=types["geometry_msgs/msg/Point"](x=2.5 * number, y=1.0, z=0.2),
                # 30 degrees to the left of the x axis
                orientation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=math.sin(turn), w=math.cos(turn)),
            )
            twist = types["geometry_msgs/msg/Twist"](linear=vector, angular=vector)
            odometry = types["nav_msgs/msg/Odometry"](
                header=header(time, "odom"),
                child_frame_id="base",
                pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
                twist=types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
            )
            poses.append((time, odometry))
        yield topic, poses


def raw_pixels(image: Image.Image, encoding: str) -> NDArray[np.uint8]:
    """The data of a raw image message, row by row."""
    colours = np.asarray(image)
    if encoding == "rgb8":
        return colours.copy()
    if encoding == "bgr8":
        return colours[..., ::-1].copy()
    if encoding == "bgra8":
        return np.concatenate([colours[..., ::-1], np.full((*colours.shape[:2], 1), 255, np.uint8)], axis=-1)
    if encoding == "mono8":
        return np.asarray(image.convert("L")).copy()
    if encoding == "mono16":
        return (np.asarray(image.convert("L")).astype("<u2") * 256).view(np.uint8)
    if encoding == "bayer_rggb8":
        mosaic = colours[..., 1].copy()
        mosaic[0::2, 0::2], mosaic[1::2, 1::2] = colours[0::2, 0::2, 0], colours[1::2, 1::2, 2]
        return mosaic
    if encoding == "uyvy":
        bright, blue, red = np.moveaxis(np.asarray(image.convert("YCbCr")), -1, 0)
        return np.stack([blue[:, ::2], bright[:, ::2], red[:, ::2], bright[:, 1::2]], axis=-1)
    raise ValueError(encoding)
