"""The names of an index's photographs in exported files: paths relative to their sources."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from daco_core.errors import UsageError
from daco_index.generations.manifest import SourceRecord
from daco_index.references.object_stores import is_remote


class SourceNames:
    """Shortens paths to be relative to the sources of the photographs.

    Args:
        sources: of the index's manifest.
    """

    def __init__(self, sources: Iterable[SourceRecord]) -> None:
        roots = {root.rstrip("/") for record in sources for root in (record.name, record.data_root)}
        rooted = (root for root in roots if root.startswith("/") or is_remote(root))
        self._roots = sorted(rooted, key=len, reverse=True)

    def of(self, path: str) -> str:
        """A path relative to the innermost source that contains it; else only the file name."""
        root = next((root for root in self._roots if path.startswith(f"{root}/")), None)
        return PurePosixPath(path).name if root is None else path.removeprefix(f"{root}/")


def check_list_names(names: Iterable[str], what: str) -> list[str]:
    """Checks names for lists of pairs, in which spaces separate the columns; returns them as a list.

    Args:
        what: what they name, for the message: `queries`.

    Raises:
        UsageError: a name contains a space, or two are equal.
    """
    seen: set[str] = set()
    listed = list(names)
    for name in listed:
        if name.split() != [name]:
            raise UsageError(f"{name!r} has a space in its name, which lists of pairs do not allow: rename the file.")
        if name in seen:
            raise UsageError(f"Two {what} are named {name}: give the folder above both, so that their names differ.")
        seen.add(name)
    return listed
