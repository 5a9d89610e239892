"""A ROS 2 node: compressed images in, `PoseWithCovarianceStamped` out, by a running daco-serve.

    python daco_localizer.py --ros-args -p url:=http://127.0.0.1:8000 -r image:=/camera/image/compressed

Parameters: `url`, `key`, `index` of the server; `speed`, the most metres a second; `anchor_latitude` and
`anchor_longitude`, the origin of the frame `map` (without them, poses are WGS 84 degrees in the frame `wgs84`).
Needs rclpy, sensor_msgs and geometry_msgs of a ROS 2 installation, and `pip install daco-serve websockets`.
"""

import asyncio
import math
import threading
from collections.abc import AsyncIterator

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from pose_conversion import pose_of
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage

from daco_core.errors import DacoError
from daco_serve import AsyncClient
from daco_serve.client.track import TrackFrame
from daco_serve.http.track_schemas import FrameHeader, TrackAnswer, TrackSettings

RETRY_SECONDS = 5.0


class Localizer(Node):
    """Sends the newest image when the answer to the one before has come, so that it never falls behind."""

    def __init__(self) -> None:
        super().__init__("daco_localizer")
        defaults = {"url": "http://127.0.0.1:8000", "key": "", "index": "", "speed": 15.0}
        for name, value in {**defaults, "anchor_latitude": math.nan, "anchor_longitude": math.nan}.items():
            self.declare_parameter(name, value)
        latitude, longitude = self.value("anchor_latitude"), self.value("anchor_longitude")
        self._anchor = None if math.isnan(latitude) or math.isnan(longitude) else (latitude, longitude)
        self._poses = self.create_publisher(PoseWithCovarianceStamped, "pose", 10)
        self._newest: asyncio.Queue[CompressedImage] = asyncio.Queue(maxsize=1)
        self._loop = asyncio.new_event_loop()
        self.create_subscription(CompressedImage, "image", self._take, qos_profile_sensor_data)
        threading.Thread(target=self._loop.run_until_complete, args=(self._follow(),), daemon=True).start()

    def value(self, name: str):  # type: ignore[no-untyped-def]
        return self.get_parameter(name).value

    def _take(self, image: CompressedImage) -> None:
        self._loop.call_soon_threadsafe(self._replace, image)

    def _replace(self, image: CompressedImage) -> None:
        if self._newest.full():
            self._newest.get_nowait()
        self._newest.put_nowait(image)

    async def _frames(self, sent: list[CompressedImage]) -> AsyncIterator[TrackFrame]:
        while True:
            image = await self._newest.get()
            sent.append(image)
            stamp = image.header.stamp
            yield TrackFrame(bytes(image.data), FrameHeader(timestamp=stamp.sec + stamp.nanosec * 1e-9))

    async def _follow(self) -> None:
        while rclpy.ok():
            sent: list[CompressedImage] = []
            try:
                async with AsyncClient(
                    self.value("url"), self.value("key") or None, self.value("index") or None
                ) as client:
                    settings = TrackSettings(speed=self.value("speed"), drop=False)
                    async for answer in client.track(self._frames(sent), settings):
                        image = sent.pop(0)
                        if isinstance(answer, TrackAnswer):
                            self._publish(answer, image)
                        else:
                            self.get_logger().warning(str(answer))
            except DacoError as error:
                self.get_logger().error(f"{error} Trying again in {RETRY_SECONDS:g} s.")
                await asyncio.sleep(RETRY_SECONDS)

    def _publish(self, answer: TrackAnswer, image: CompressedImage) -> None:
        pose = pose_of(answer.track, self._anchor)
        if pose is None:
            self.get_logger().info(f"The camera is {answer.track.status}.", throttle_duration_sec=5.0)
            return
        message = PoseWithCovarianceStamped()
        message.header.stamp = image.header.stamp
        message.header.frame_id = "wgs84" if self._anchor is None else "map"
        position, turned = message.pose.pose.position, message.pose.pose.orientation
        position.x, position.y = pose.x, pose.y
        turned.x, turned.y, turned.z, turned.w = pose.orientation
        message.pose.covariance = list(pose.covariance)
        self._poses.publish(message)


def main() -> None:
    """Runs the node until it is stopped."""
    rclpy.init()
    node = Localizer()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
