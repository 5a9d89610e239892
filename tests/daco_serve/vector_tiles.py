"""A small PMTiles file for the tests: one tile around a position, all of it covered by one layer."""

import math
import struct
from pathlib import Path

EXTENT = 4096
ZOOM = 14
HEADER_BYTES = 127


def write_land(file: Path, latitude: float, longitude: float, tile_type: int = 1) -> Path:
    """PMTiles of version 3, with one uncompressed tile in the form of Mapbox vector tiles, whose layer is `earth`."""
    tile = _tile("earth")
    # one entry: its id, a run of one, its length, its offset 0
    directory = bytes([1]) + _varint(_tile_id(latitude, longitude)) + bytes([1]) + _varint(len(tile)) + bytes([1])
    metadata = b"{}"
    metadata_at = HEADER_BYTES + len(directory)
    tiles_at = metadata_at + len(metadata)
    places = (HEADER_BYTES, len(directory), metadata_at, len(metadata), tiles_at, 0, tiles_at, len(tile))
    header = b"PMTiles\x03" + struct.pack("<8Q", *places) + struct.pack("<3Q", 1, 1, 1)
    header += bytes([1, 1, 1, tile_type, ZOOM, ZOOM])  # clustered, nothing compressed
    header += struct.pack("<4i", -(180 * 10**7), -(85 * 10**7), 180 * 10**7, 85 * 10**7)
    header += bytes([ZOOM]) + struct.pack("<2i", 0, 0)
    file.write_bytes(header + directory + metadata + tile)
    return file


def _tile_id(latitude: float, longitude: float) -> int:
    """The place of a tile on the Hilbert curve of its zoom, after all tiles of lower zooms."""
    side = 2**ZOOM
    x = int((longitude + 180) / 360 * side)
    y = int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * side)
    number = (4**ZOOM - 1) // 3
    half = side // 2
    while half:
        right, low = int(x & half > 0), int(y & half > 0)
        number += half * half * (3 * right ^ low)
        if not low:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        half //= 2
    return number


def _tile(layer: str) -> bytes:
    square = [9, 0, 0, 26, *map(_zigzag, (EXTENT, 0, 0, EXTENT, -EXTENT, 0)), 15]  # move, three lines, close
    feature = _number(3, 3) + _bytes(4, b"".join(map(_varint, square)))  # a polygon
    content = _number(15, 2) + _bytes(1, layer.encode()) + _bytes(2, feature) + _number(5, EXTENT)
    return _bytes(3, content)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _zigzag(number: int) -> int:
    return number << 1 ^ number >> 31


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
