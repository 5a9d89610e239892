"""Positions that a photograph has and that cannot be used: why, and how many."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Unusable:
    """A position that was read but cannot be used.

    Args:
        source: where it is, in words, such as `EXIF`.
        reason: why it cannot be used, the same for all photographs with the same fault.
    """

    source: str
    reason: str


def describe_unusable(found: Iterable[tuple[Path, Unusable]]) -> list[str]:
    """One sentence for each source and reason: how many photographs have it, and the first of them."""
    photographs: dict[Unusable, list[Path]] = {}
    for path, unusable in found:
        photographs.setdefault(unusable, []).append(path)
    return [
        f"The position in the {unusable.source} of {_count(paths)} is not used: {unusable.reason}"
        f" ({'the first is ' if len(paths) > 1 else ''}{paths[0].name})."
        for unusable, paths in photographs.items()
    ]


def _count(paths: list[Path]) -> str:
    return f"{len(paths)} photographs" if len(paths) > 1 else "1 photograph"
