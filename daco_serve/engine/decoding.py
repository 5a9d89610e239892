"""Decodes an untrusted file to the small upright RGB image that an encoder takes, in a process with few rights.

`decoder_pool.py` runs it. It imports little more than Pillow and NumPy, so that it starts fast. It reads photographs
from a socket, writes pixels to it, and cannot write files.
"""

import json
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from daco_core.photographs.formats import (
    find_format,
    foreign_kind,
    formats_in_words,
    pillow_formats,
    readable_formats,
)
from daco_core.photographs.images import MAX_ASPECT, reduce_jpeg, to_rgb

RAW_TAGS = (50706, 33421, 33422)  # DNGVersion; CFARepeatPatternDim and CFAPattern, of a colour filter array
SCAN = b"\xff\xda"  # begins each pass over the pixels of a progressive JPEG; a small file may request thousands
MOST_SCANS = 20  # for the largest accepted number of pixels; more for smaller images

REQUEST = struct.Struct("!QQI?")  # bytes of the photograph, most pixels, image size, whether square
READY = b"+"
REPLY = struct.Struct("!IIQ")  # width, height, bytes that follow: the pixels; or, if both are 0, an error as JSON
MEMORY_BYTES = 2 * 2**30
SPARE_SECONDS = 2  # after the time limit, the process ends itself if its parent has not killed it by then


class Undecodable(Exception):
    """An image that is not accepted: a code of `refusals.REFUSALS`, and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def decode(data: bytes, max_pixels: int, size: int, square: bool) -> Image.Image:
    """Decodes a photograph as upright RGB in the size that an encoder takes.

    A large JPEG is decoded at a reduced size, several times faster, which is at least twice the required size.

    Args:
        max_pixels: the largest width times height; checked from the header, before anything is decoded.
        size: pixels of the shorter side, as with torchvision's `Resize`; or of both sides.
        square: resize both sides to `size`.

    Raises:
        Undecodable: it has no supported format, is damaged, too large or too narrow.
    """
    try:
        with Image.open(BytesIO(data), formats=pillow_formats()) as image:
            _check(image, data, max_pixels)
            reduce_jpeg(image, size)
            return _resized(to_rgb(image), size, square)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("It has", max_pixels) from error
    except Undecodable:
        raise
    except MemoryError as error:
        raise Undecodable("image_too_large", "It takes too much memory to decode: send a smaller image.") from error
    except Exception as error:  # decoders fail in many ways, and none may count as the server's fault
        raise _complaint(data) from error


def _resized(image: Image.Image, size: int, square: bool) -> Image.Image:
    """Equal to torchvision's `Resize` to the pixel; resizing the result again does not change it."""
    if square:
        target = (size, size)
    else:
        short = min(image.size)
        target = (size * image.width // short, size * image.height // short)
    return image if target == image.size else image.resize(target, Image.Resampling.BILINEAR)


def _check(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Checks that need no decoded pixels."""
    width, height = image.size
    # most raw files are TIFF containers, whose first image is a thumbnail
    if isinstance(image, TiffImageFile) and any(tag in image.tag_v2 for tag in RAW_TAGS):
        raise _unsupported("raw (DNG)")
    if width * height > max_pixels:
        raise _too_many_pixels(f"{width} x {height} pixels are", max_pixels)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Undecodable("image_too_narrow", f"{width} x {height} pixels: one side is more than 16 times the other.")
    if image.format in ("JPEG", "MPO") and width * height * data.count(SCAN) > MOST_SCANS * max_pixels:
        raise Undecodable("image_too_slow", "This progressive JPEG has too many scans: save it as a baseline JPEG.")


def _too_many_pixels(what: str, most: int) -> Undecodable:
    return Undecodable("image_too_large", f"{what} more than {most} pixels: send a smaller photograph.")


def _complaint(data: bytes) -> Undecodable:
    found = find_format(data)
    if found is not None and found in readable_formats():
        return Undecodable("image_truncated", f"The {found.name} image is damaged or incomplete: send it again.")
    foreign = foreign_kind(data) if found is None else found.name
    if foreign is not None:
        return _unsupported(foreign)
    return Undecodable("not_an_image", f"This is not an image: send a {formats_in_words()}.")


def _unsupported(kind: str) -> Undecodable:
    return Undecodable(
        "unsupported_format", f"Files of the kind {kind} are not supported by this server: send a {formats_in_words()}."
    )


def receive(channel: socket.socket, count: int) -> bytearray:
    """Receives exactly `count` bytes.

    Raises:
        EOFError: the other side closed the connection before.
    """
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        taken = channel.recv_into(rest)
        if not taken:
            raise EOFError
        rest = rest[taken:]
    return content


def _confine() -> None:
    """Forbids writing files, and limits memory; not every system supports every limit.

    If memory runs out, the kernel kills a decoder, which is replaced, rather than the server.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for limit, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_AS, MEMORY_BYTES),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (most, most))


def _answer(data: bytes, max_pixels: int, size: int, square: bool) -> tuple[bytes, bytes]:
    try:
        image = decode(data, max_pixels, size, square)
    except Undecodable as refusal:
        content = json.dumps({"code": refusal.code, "message": refusal.message}).encode()
        return REPLY.pack(0, 0, len(content)), content
    pixels = image.tobytes()
    return REPLY.pack(*image.size, len(pixels)), pixels


def _prove() -> None:
    """Decodes a photograph of its own as a test. Raises the error if that fails."""
    buffer = BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG")
    decode(buffer.getvalue(), 32 * 32, 16, False)


def main(seconds: float) -> None:
    """Sends READY after decoding a test photograph; then decodes what arrives on standard input, a socket.

    Args:
        seconds: time limit for one photograph; the process ends itself a little later.
    """
    Image.init()  # everything that would be imported later is imported before the limits are set
    pillow_formats()
    channel = socket.socket(fileno=0)
    _confine()
    _prove()
    with suppress(ConnectionError):  # the parent has already ended; the loop then ends, too
        channel.sendall(READY)
    while True:
        try:
            count, *wanted = REQUEST.unpack(receive(channel, REQUEST.size))
            data = bytes(receive(channel, count))
        except (EOFError, ConnectionError):
            return
        signal.setitimer(signal.ITIMER_REAL, seconds + SPARE_SECONDS)  # its SIGALRM ends the process
        head, content = _answer(data, *wanted)
        del data
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.sendall(head)
        channel.sendall(content)


if __name__ == "__main__":
    main(float(sys.argv[1]))
