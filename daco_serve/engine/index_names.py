"""Resolves the indexes in the settings: name to folder."""

import re
from collections.abc import Iterable
from pathlib import Path

from daco_core.errors import UsageError
from daco_index.generations.folders import CURRENT_FILE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def find_indexes(given: Iterable[str]) -> dict[str, Path]:
    """Name to folder of each index in the settings; the first one answers queries that name no index.

    Args:
        given: each `NAME=PATH`, or `PATH`, named after its folder. A folder that contains indexes stands for all of
            them, by name, except those that `passed_over` reports.

    Raises:
        UsageError: two have the same name, or a name has other characters than letters, digits, `.`, `_`, `-`.
    """
    return _look(given)[0]


def passed_over(given: Iterable[str]) -> list[str]:
    """A sentence for each index in a folder of indexes that has no usable name. Raises the errors of `find_indexes`."""
    return _look(given)[1]


def _look(given: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    complaints: list[str] = []
    for text in given:
        inside = _inside(Path(text))
        for name, path in inside or [_named(text)]:
            if NAME.fullmatch(name) is None:
                complaint = f"{name!r} cannot be the name of an index (letters, digits, '.', '_', '-')"
            elif name in found:
                complaint = f"Two indexes are named {name!r}, {found[name]} and {path}"
            else:
                found[name] = path
                continue
            if not inside:
                raise UsageError(f"{complaint}: use --index NAME=PATH.")
            complaints.append(f"{complaint}: {path} is ignored; rename it, or use --index NAME=PATH.")
    return found, complaints


def _inside(path: Path) -> list[tuple[str, Path]]:
    """The indexes in a folder that is not an index itself, by name."""
    if not path.is_dir() or (path / CURRENT_FILE).exists():
        return []
    return [(file.parent.name, file.parent) for file in sorted(path.glob(f"[!.]*/{CURRENT_FILE}"))]


def _named(text: str) -> tuple[str, Path]:
    name, equals, rest = text.partition("=")
    if equals and NAME.fullmatch(name) and not Path(text).exists():
        return name, Path(rest)
    return Path(text).resolve().name, Path(text)
