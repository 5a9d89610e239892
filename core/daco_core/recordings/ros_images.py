"""Decodes images in ROS messages: `sensor_msgs/CompressedImage` and `sensor_msgs/Image`."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COMPRESSED = "sensor_msgs/msg/CompressedImage"
RAW = "sensor_msgs/msg/Image"
# for each encoding, the channels in the order red, green, blue
CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0), "8UC3": (2, 1, 0)}
WIDTHS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "8UC3": 3}
# the position of red in each 2 x 2 pixels: row, column
BAYER = {"bayer_rggb8": (0, 0), "bayer_grbg8": (0, 1), "bayer_gbrg8": (1, 0), "bayer_bggr8": (1, 1)}
# the positions of brightness and of the blue and red differences in each two pixels
YUV = {"uyvy": (1, 0, 2), "yuv422": (1, 0, 2), "yuyv": (0, 1, 3), "yuv422_yuy2": (0, 1, 3)}


def decode_image(message: Any, msgtype: str, shorter: int | None = None) -> Image.Image:
    """The image in a message, in RGB or grey.

    Args:
        shorter: the size of the shorter side, in pixels, that suffices, so that a JPEG is decoded faster.

    Raises:
        ValueError, OSError, SyntaxError: it is damaged, or its encoding is not supported.
    """
    if msgtype == COMPRESSED:
        image = Image.open(BytesIO(np.asarray(message.data).tobytes()))
        if shorter is not None:
            image.draft("L", (shorter, shorter))
        image.load()
        return image if image.mode == "L" else image.convert("RGB")
    return Image.fromarray(_pixels(message))


def _pixels(message: Any) -> NDArray[np.uint8]:
    """The pixels of a raw image, (height, width, 3) or (height, width)."""
    encoding, height, width = str(message.encoding), int(message.height), int(message.width)
    rows = np.asarray(message.data, dtype=np.uint8).reshape(height, int(message.step))
    if encoding in CHANNELS:
        wide = WIDTHS[encoding]
        return rows[:, : width * wide].reshape(height, width, wide)[..., CHANNELS[encoding]].copy()
    if encoding in ("mono8", "8UC1"):
        return rows[:, :width].copy()
    if encoding in ("mono16", "16UC1"):
        order = ">u2" if message.is_bigendian else "<u2"
        grey = rows[:, : width * 2].copy().view(order).astype(np.float32)
        return (grey * (255 / max(float(grey.max()), 1.0))).astype(np.uint8)
    if encoding in BAYER:
        return _half_size(rows[: height // 2 * 2, : width // 2 * 2], *BAYER[encoding])
    if encoding in YUV:
        return _from_yuv(rows[:, : width * 2].reshape(height, width // 2, 4), *YUV[encoding])
    raise ValueError(f"the image encoding {encoding!r} is not supported")


def _half_size(mosaic: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    """Turns each 2 x 2 pixels of a Bayer mosaic into one, averaging its greens; red lies at `row`, `column`."""
    red, blue = mosaic[row::2, column::2], mosaic[1 - row :: 2, 1 - column :: 2]
    greens = mosaic[row::2, 1 - column :: 2].astype(np.uint16) + mosaic[1 - row :: 2, column::2]
    return np.stack([red, (greens // 2).astype(np.uint8), blue], axis=-1)


def _from_yuv(pairs: NDArray[np.uint8], first: int, blue: int, red: int) -> NDArray[np.uint8]:
    height, half = pairs.shape[:2]
    bright = pairs[..., [first, first + 2]].reshape(height, half * 2)
    colours = [np.repeat(pairs[..., place], 2, axis=1) for place in (blue, red)]
    image = Image.fromarray(np.stack([bright, *colours], axis=-1), mode="YCbCr")
    return np.asarray(image.convert("RGB"))
