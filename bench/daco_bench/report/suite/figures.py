"""The figures in a benchmark's output, with names that stay the same between runs."""

from collections.abc import Iterator, Mapping
from typing import Any

SKIPPED = ("interval", "tests", "machine", "descriptors", "growth", "setting")
NAMING = ("viewpoint", "method", "direction", "server", "name", "count", "kind", "asked", "engine")


def figures(content: Any, ends: Mapping[str, bool]) -> dict[str, float]:
    """Name to value of all numbers whose names end in one of `ends`, in their order.

    A name is the path to the number; an entry of a list is named by the words in it (such as its method and direction).
    """
    return {name: value for name, value in _leaves(content, ()) if any(name.endswith(end) for end in ends)}


def higher_is_better(name: str, ends: Mapping[str, bool]) -> bool:
    """Whether higher values of a figure of that name are better: the longest matching end decides."""
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
