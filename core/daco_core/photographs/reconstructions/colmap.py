"""COLMAP's models: `images.bin` or `images.txt` (https://colmap.github.io/format.html).

Only the poses are needed, so this module reads them itself; pycolmap would be a download of 38 MB.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from daco_core.photographs.reconstructions.camera import Camera, from_world, rotation_of

BINARY, TEXT = "images.bin", "images.txt"
POSE = struct.Struct("<I7dI")  # id, rotation (w x y z), translation, id of the camera
POINT_BYTES = 24
LONGEST_NAME = 4096


def is_colmap(folder: Path) -> bool:
    """Whether a folder is a COLMAP model."""
    return (folder / BINARY).is_file() or (folder / TEXT).is_file()


def read_colmap(folder: Path) -> list[Camera]:
    """The cameras of a model. If it exists in both forms, the binary one is read.

    Raises:
        OSError: it cannot be read.
        ValueError, struct.error: it has another structure.
    """
    if (folder / BINARY).is_file():
        with (folder / BINARY).open("rb") as stream:
            return list(_binary(stream))
    with (folder / TEXT).open(encoding="utf-8") as text:
        return list(_text(text))


def _binary(stream: BinaryIO) -> Iterator[Camera]:
    (count,) = struct.unpack("<Q", stream.read(8))
    for _ in range(count):
        _, *pose, _ = POSE.unpack(stream.read(POSE.size))
        name = bytearray()
        while (letter := stream.read(1)) != b"\0":
            if not letter or len(name) > LONGEST_NAME:
                raise ValueError("the name of an image does not end")
            name += letter
        (points,) = struct.unpack("<Q", stream.read(8))
        stream.seek(points * POINT_BYTES, 1)
        yield from_world(name.decode("utf-8"), rotation_of(pose[:4]), np.array(pose[4:]))


def _text(lines: Iterator[str]) -> Iterator[Camera]:
    lines = (line for line in lines if not line.startswith("#"))
    for line in lines:
        if not line.strip():
            continue
        _, *words = line.split(maxsplit=9)
        if len(words) != 9:
            raise ValueError(f"{line.strip()[:60]!r} is not an image with its pose")
        pose = [float(word) for word in words[:7]]
        yield from_world(words[8].rstrip("\r\n"), rotation_of(pose[:4]), np.array(pose[4:]))
        next(lines, None)  # its points, which may be an empty line
