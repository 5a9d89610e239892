"""The folders of the user's cache in which encoders are kept that can be made again."""

import os
from pathlib import Path

CACHE_VARIABLE = "DACO_CACHE"
EXPORT_VERSION = 1  # to be raised with every change of what is exported


def kept_folder(fingerprint: str) -> Path:
    """Where the cache has an encoder in the form that engines take."""
    return cache_folder() / "encoders" / f"{fingerprint}-{EXPORT_VERSION}"


def cache_folder() -> Path:
    """Where what can be made again is kept: DACO_CACHE, else `daco-serve` in the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daco-serve"
