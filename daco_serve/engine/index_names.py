"""Which indexes settings mean: name to folder."""

import re
from collections.abc import Iterable
from pathlib import Path

from daco_core.errors import UsageError
from daco_index.generations.folders import CURRENT_FILE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def find_indexes(given: Iterable[str]) -> dict[str, Path]:
    """Name to folder of each index that settings name; the first is the one that answers unless a query names another.

    Args:
        given: each `NAME=PATH`, or `PATH`, whose folder name is then the name; a folder that is no index but holds
            indexes stands for all of them, by name.

    Raises:
        DacoError: two have one name, a name is not letters, digits, `.`, `_`, `-`, or a folder holds no index.
    """
    found: dict[str, Path] = {}
    for text in given:
        for name, path in _named(text):
            if NAME.fullmatch(name) is None:
                raise UsageError(
                    f"{name!r} cannot be the name of an index (letters, digits, '.', '_', '-'): use --index NAME={path}"
                )
            if name in found:
                raise UsageError(f"Two indexes are called {name!r}, {found[name]} and {path}: use --index NAME=PATH.")
            found[name] = path
    return found


def _named(text: str) -> list[tuple[str, Path]]:
    name, equals, rest = text.partition("=")
    if equals and NAME.fullmatch(name) and not Path(text).exists():
        return [(name, Path(rest))]
    path = Path(text)
    if path.is_dir() and not (path / CURRENT_FILE).exists():
        inside = sorted(folder.parent for folder in path.glob(f"[!.]*/{CURRENT_FILE}"))
        if inside:
            return [(folder.name, folder) for folder in inside]
    return [(path.resolve().name, path)]
