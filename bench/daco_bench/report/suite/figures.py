"""The figures in what a benchmark printed, each under a name that stays the same from run to run."""

from collections.abc import Iterator, Mapping
from typing import Any

SKIPPED = ("interval", "tests", "machine", "descriptors", "growth", "setting")
NAMING = ("viewpoint", "method", "direction", "server", "name", "count", "kind", "asked", "engine")


def figures(content: Any, ends: Mapping[str, bool]) -> dict[str, float]:
    """Name to value of all numbers whose name ends in one of `ends`, in the order in which they stand.

    A name is the path to the number; an entry of a list goes by the words in it (its method and direction, say).
    """
    return {name: value for name, value in _leaves(content, ()) if any(name.endswith(end) for end in ends)}


def higher_is_better(name: str, ends: Mapping[str, bool]) -> bool:
    """Which way is better for a figure of that name: what the longest fitting end says."""
    return ends[max((end for end in ends if name.endswith(end)), key=len)]


def _leaves(content: Any, path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in SKIPPED:
                yield from _leaves(value, (*path, str(key)))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _leaves(value, (*path, _name(value, number)))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield ", ".join(path), float(content)


def _name(entry: Any, number: int) -> str:
    if not isinstance(entry, dict):
        return str(number)
    return " ".join(str(entry[key]) for key in NAMING if isinstance(entry.get(key), str | int)) or str(number)
