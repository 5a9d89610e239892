"""The folders of the user's cache, for exported encoders and other files that can be made again."""

import os
from pathlib import Path

CACHE_VARIABLE = "DACO_CACHE"
EXPORT_VERSION = 1  # increase it whenever exported files change


def kept_folder(fingerprint: str) -> Path:
    """The folder in the cache for the exported form of an encoder, which inference engines load."""
    return cache_folder() / "encoders" / f"{fingerprint}-{EXPORT_VERSION}"


def cache_folder() -> Path:
    """The cache folder: DACO_CACHE if it is set, otherwise `daco-serve` in the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daco-serve"
