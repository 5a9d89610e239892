"""Where the page's map gets its background from, and what the content policy must allow for it."""

import re
from urllib.parse import urlsplit

SANE = re.compile("[!-~]+")
OPENSTREETMAP = "© OpenStreetMap contributors"


def check_tiles(address: str) -> str:
    """The address of a tile server as Leaflet takes it, such as `https://tile.example.org/{z}/{x}/{y}.png`.

    Raises:
        ValueError: it is no such address.
    """
    if not SANE.fullmatch(address):  # urlsplit passes over line breaks, and the content policy must not have them
        raise ValueError("name a tile server as https://tile.example.org/{z}/{x}/{y}.png")
    parts = urlsplit(address)
    complete = all(f"{{{name}}}" in address for name in "zxy")
    # what stands in the content policy must be one host and nothing else
    if parts.scheme not in ("http", "https") or not complete or not parts.hostname or _odd(parts.netloc):
        raise ValueError("name a tile server as https://tile.example.org/{z}/{x}/{y}.png")
    return address


def tile_host(address: str) -> str:
    """The source that a content policy names for it; `{s}`, one of several hosts, becomes any below the domain."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}"


def attribution(address: str, given: str | None) -> str:
    """Whom the map thanks: as given, or who is known to ask for it."""
    return given or (OPENSTREETMAP if "openstreetmap" in address else urlsplit(address).hostname or "")


def _odd(host: str) -> bool:
    plain = host.removeprefix("{s}.")
    return not plain.replace(":", "").replace(".", "").replace("-", "").isalnum()
