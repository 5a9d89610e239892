"""What the photographs of an index are called in files that are handed on: paths as seen from their sources."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from daco_core.errors import UsageError
from daco_index.generations.manifest import SourceRecord
from daco_index.references.object_stores import is_remote


class SourceNames:
    """Paths shortened by the sources that photographs came from.

    Args:
        sources: of the index's manifest.
    """

    def __init__(self, sources: Iterable[SourceRecord]) -> None:
        roots = {root.rstrip("/") for record in sources for root in (record.name, record.data_root)}
        rooted = (root for root in roots if root.startswith("/") or is_remote(root))
        self._roots = sorted(rooted, key=len, reverse=True)

    def of(self, path: str) -> str:
        """A path as seen from the innermost source that holds it; else the bare file name."""
        root = next((root for root in self._roots if path.startswith(f"{root}/")), None)
        return PurePosixPath(path).name if root is None else path.removeprefix(f"{root}/")


def check_list_names(names: Iterable[str], what: str) -> list[str]:
    """Names that lists of pairs, which divide by spaces, can hold.

    Args:
        what: they are names of, for the sentence: `queries`.

    Raises:
        UsageError: a name has a space, or two are equal.
    """
    seen: set[str] = set()
    listed = list(names)
    for name in listed:
        if name.split() != [name]:
            raise UsageError(f"{name!r} has a space in its name, which lists of pairs cannot hold: rename the file.")
        if name in seen:
            raise UsageError(
                f"Two {what} are called {name}: name the folder above both, so that their names tell them apart."
            )
        seen.add(name)
    return listed
