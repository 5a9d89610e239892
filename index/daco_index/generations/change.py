"""Changes of an index that is there: photographs join, leave, or are looked at again. Each is a new generation."""

import time
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError
from daco_index.build import BuildReport, Effort, Origin, publish_references, record_source
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import KEPT, Writer, read_current
from daco_index.generations.manifest import Manifest
from daco_index.generations.publish import write_generation
from daco_index.references.find import Reference, Split, find_references
from daco_index.references.object_stores import is_remote
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry


def add_photographs(
    index: Path,
    source: str,
    data_root: Path = Path("data"),
    split: Split = "all",
    effort: Effort | None = None,
    keep: int = KEPT,
) -> BuildReport:
    """Lets the photographs of a source join an index, described by the index's own encoder.

    Contents that the index holds are not embedded again. A file that it holds keeps its id and gets the source's place
    and position; if its content is another than it was, it gets a new id and the old one is retired.

    Args:
        source, data_root, split: the photographs, as `find_references` takes them.
        keep: generations that stay, with the new one.

    Raises:
        DacoError: there is no whole index, or anything else that the user can put right.
    """
    effort = effort or Effort()
    start = time.perf_counter()
    read_current(index)
    references = find_references(source, data_root, split)
    with Writer(index, keep) as writer:
        live = Bundle.open(index, effort.trust)
        record = record_source(source, data_root, split)
        before = live.manifest
        paths = {str(reference.path) for reference in references}
        origin = Origin(
            source=before.source if record in before.sources else f"{before.source}, {source}",
            change=f"add {source}",
            # a photograph is placed by the last source that has it, now and when update looks again
            sources=(*(other for other in before.sources if other != record), record),
            left_out=tuple(path for path in before.left_out if path not in paths),
        )
        rest = [entry for entry in live.catalog.all() if entry.path not in paths]
        return publish_references(writer, live, live.encoder, references, rest, origin, effort, start)


def update_index(index: Path, effort: Effort | None = None, keep: int = KEPT) -> BuildReport:
    """Looks at the sources of an index again: new files join, changed ones get a new id, vanished ones leave.

    What was removed on purpose stays away until it is added again. A source that is gone as a whole is an error: a disk
    that is not mounted must not empty the index.

    Raises:
        DacoError: there is no whole index, a source is gone, or anything else that the user can put right.
    """
    effort = effort or Effort()
    start = time.perf_counter()
    read_current(index)
    with Writer(index, keep) as writer:
        live = Bundle.open(index, effort.trust)
        manifest = live.manifest
        if not manifest.sources:
            raise UsageError(f"{index} does not say where its photographs came from: name it with daco-index add.")
        found: dict[Path | str, Reference] = {}
        for record in manifest.sources:
            references = find_references(record.name, Path(record.data_root), record.split)
            found |= {reference.path: reference for reference in references}
        left_out = set(manifest.left_out)
        wanted = [reference for path, reference in found.items() if str(path) not in left_out]
        if not wanted:
            raise DacoError(f"Every photograph that the sources of {index} still hold was removed from it: add some.")
        origin = Origin(manifest.source, "update", manifest.sources, manifest.left_out)
        return publish_references(writer, live, live.encoder, wanted, [], origin, effort, start)


def remove_photographs(
    index: Path,
    places: Sequence[str] = (),
    paths: Sequence[str] = (),
    ids: Sequence[int] = (),
    keep: int = KEPT,
    trust: bool = False,
) -> tuple[Manifest, list[Entry]]:
    """Lets photographs leave an index. The files themselves stay where they are.

    Args:
        places: names of places, each with all its photographs.
        paths: files, or folders with all that is in them, of this machine or of an object store.
        keep: generations that stay, with the new one.
        trust: consent to loading an encoder from torch.hub.

    Returns:
        The new generation's manifest, and the entries that left.

    Raises:
        DacoError: one of them is not in the index, nothing would be left, or the index cannot be read or written.
    """
    read_current(index)
    with Writer(index, keep) as writer:
        live = Bundle.open(index, trust)
        entries = live.catalog.all()
        leaving: dict[int, Entry] = {}
        for name, chosen in _choices(entries, places, paths, ids):
            if not chosen:
                raise NotFound(f"No photograph in {index} has {name}; nothing was removed.")
            leaving |= {entry.id: entry for entry in chosen}
        if not leaving:
            raise UsageError("Name what is to leave: --place, --path or --id.")
        staying = [entry for entry in entries if entry.id not in leaving]
        if not staying:
            raise UsageError(f"That is every photograph in {index}: delete the folder instead. Nothing was removed.")
        manifest = live.manifest
        descriptors = Descriptors(manifest.dimension)
        descriptors.hold([entry.id for entry in staying], live.store, local=live.local)
        return write_generation(
            writer,
            descriptors,
            staying,
            live.encoder,
            manifest.source,
            f"remove {len(leaving)}",
            manifest.sources,
            sorted({*manifest.left_out, *(entry.path for entry in leaving.values())}),
            manifest.next_id,
            before=live,
        ), list(leaving.values())


def _choices(
    entries: Sequence[Entry], places: Sequence[str], paths: Sequence[str], ids: Sequence[int]
) -> list[tuple[str, list[Entry]]]:
    """Each thing that was named, in words, with the entries that it means."""
    choices = [(f"the place {place!r}", [entry for entry in entries if entry.place == place]) for place in places]
    for path in paths:
        # both as written and with links followed: folders are catalogued by their real path, data sets are not
        meant = {path.rstrip("/")} if is_remote(path) else {str(Path(path).absolute()), str(Path(path).resolve())}
        chosen = [entry for entry in entries if any(_is_below(entry.path, folder) for folder in meant)]
        choices.append((f"the path {path}", chosen))
    choices += [(f"the id {number}", [entry for entry in entries if entry.id == number]) for number in ids]
    return choices


def _is_below(path: str, folder: str) -> bool:
    """Whether a path or address is that one, or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
