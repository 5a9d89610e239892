"""Reads the number of pixels from the first bytes of an image file, without decoding it."""

import math
import struct

from daco_core.photographs.formats import find_format

Size = tuple[int, int]  # width and height in pixels
NO_SIZE: Size = (0, 0)
JPEG = b"\xff\xd8"
SCAN = b"\xff\xda"  # begins each pass over the pixels of a progressive JPEG
MOST_SEGMENTS = 1000  # of a JPEG that are read
NO_FRAME = {0xC4, 0xC8, 0xCC}  # the markers from C0 to CF that do not begin a frame
TIFF_WIDTH, TIFF_HEIGHT, TIFF_SHORT = 256, 257, 3
HEIF_HEAD = 2**18  # bytes of a HEIC or AVIF file that are read
JPEG_SHARE = 4  # a JPEG is decoded at reduced size, which takes at most about a quarter of the time


def looks_like_image(content: bytes) -> bool:
    """Whether the file begins like one of a known format."""
    return find_format(content) is not None


def decoding_cost(content: bytes) -> int:
    """The approximate work of decoding an image, in pixels; 0 if it is not an image that is decoded.

    A JPEG counts a quarter of its pixels; a progressive one, that for each pass over them.
    """
    width, height = claimed_size(content)
    if content.startswith(JPEG):
        return width * height * content.count(SCAN) // JPEG_SHARE
    return width * height


def claimed_size(content: bytes) -> Size:
    """Width and height of an image, as it is stored; 0 and 0 if this is no image that is decoded."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", content, 16)
            return width, height
        if content[8:12] == b"WEBP":
            return _webp(content)
        if content.startswith(JPEG):
            return _jpeg(content)
        found = find_format(content)
        if found is not None and found.name in OTHERS:
            return OTHERS[found.name](content)
    except (struct.error, IndexError):  # the file is truncated
        pass
    return NO_SIZE


def _webp(content: bytes) -> Size:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", content, 26))
    return width, height


def _jpeg(content: bytes) -> Size:
    at = 2
    for _ in range(MOST_SEGMENTS):
        while content[at] == 0xFF and content[at + 1] == 0xFF:  # padding
            at = _after_padding(content, at)
        if content[at] != 0xFF:
            return NO_SIZE
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    return NO_SIZE


def _after_padding(content: bytes, at: int) -> int:
    """The position of the last of consecutive FF bytes."""
    rest = content[at : at + 65536].lstrip(b"\xff")
    return at + min(len(content) - at, 65536) - len(rest) - 1


def _bmp(content: bytes) -> Size:
    width, height = struct.unpack_from("<ii", content, 18)
    return abs(width), abs(height)


def _tiff(content: bytes) -> Size:
    """From the entries of the first directory."""
    order = "<" if content.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    sides = {}
    for number in range(min(count, MOST_SEGMENTS)):
        tag, kind = struct.unpack_from(f"{order}HH", content, at + 2 + 12 * number)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT):
            form = "H" if kind == TIFF_SHORT else "I"
            (sides[tag],) = struct.unpack_from(f"{order}{form}", content, at + 10 + 12 * number)
    return sides.get(TIFF_WIDTH, 0), sides.get(TIFF_HEIGHT, 0)


def _heif(content: bytes) -> Size:
    """From the largest of the boxes with the size of an image, or of a tile of one."""
    head, most, at = content[:HEIF_HEAD], NO_SIZE, 0
    for _ in range(MOST_SEGMENTS):
        at = head.find(b"ispe", at)
        if at < 0:
            break
        width, height = struct.unpack_from(">II", head, at + 8)
        most, at = max(most, (width, height), key=math.prod), at + 4
    return most


OTHERS = {"BMP": _bmp, "TIFF": _tiff, "HEIC": _heif, "AVIF": _heif}
