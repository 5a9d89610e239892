"""The background of the page's map, and what the content security policy must allow for it."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from daco_core.errors import reason_of

SANE = re.compile("[!-~]+")
OPENSTREETMAP = "© OpenStreetMap contributors"
SUFFIX = ".pmtiles"
NEITHER = "name a tile server as https://tile.example.org/{z}/{x}/{y}.png, or a file of tiles as map.pmtiles"
HEADER_BYTES = 127
MAGIC = b"PMTiles\x03"
VECTOR = 1  # tile type of the format's header, https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md
TYPE_AT, MOST_ZOOM_AT = 99, 101


@dataclass(frozen=True)
class TilesFile:
    """A file of vector tiles that this server serves.

    Args:
        most_zoom: the highest zoom level of its tiles; beyond it, they are enlarged.
    """

    path: Path
    most_zoom: int


def tiles_file(tiles: str | None) -> TilesFile | None:
    """The file in `--tiles`; None if that is a tile server, or not set.

    Raises:
        ValueError: it is not a readable PMTiles file of vector tiles.
    """
    if not tiles or "://" in tiles or not tiles.endswith(SUFFIX):
        return None
    try:
        with Path(tiles).open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({reason_of(error)})") from error
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise ValueError("it is not a PMTiles file of version 3")
    if header[TYPE_AT] != VECTOR:
        raise ValueError("it contains images instead of vector tiles")
    return TilesFile(Path(tiles).absolute(), header[MOST_ZOOM_AT])


def check_tiles(address: str) -> str:
    """The address of a tile server as Leaflet takes it, such as `https://tile.example.org/{z}/{x}/{y}.png`; or the path
    of a PMTiles file.

    Raises:
        ValueError: it is neither.
    """
    if tiles_file(address) is not None:
        return address
    if not SANE.fullmatch(address):  # urlsplit ignores line breaks, which must not get into the content policy
        raise ValueError(NEITHER)
    parts = urlsplit(address)
    complete = all(f"{{{name}}}" in address for name in "zxy")
    # the content policy must contain one host and nothing else
    if parts.scheme not in ("http", "https") or not complete or not parts.hostname or _odd(parts.netloc):
        raise ValueError(NEITHER)
    return address


def tile_host(address: str) -> str:
    """The source for a content policy; with `{s}`, one of several hosts, any host below the domain."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}"


def attribution(address: str, given: str | None) -> str:
    """The attribution of the map: as given, or that of known tile servers which require one."""
    openstreetmap = tiles_file(address) is not None or "openstreetmap" in address
    return given or (OPENSTREETMAP if openstreetmap else urlsplit(address).hostname or "")


def _odd(host: str) -> bool:
    plain = host.removeprefix("{s}.")
    return not plain.replace(":", "").replace(".", "").replace("-", "").isalnum()
