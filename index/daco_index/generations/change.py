"""Adds, removes and updates the photographs of an existing index. Each change creates a new generation."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from daco_core.errors import NotFound, UsageError
from daco_index.build import BuildReport, embed_and_publish, publish
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import KEPT, Writer, read_current
from daco_index.generations.manifest import Manifest
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.references.changes import SourceOptions, joined, references_to_add, references_to_update
from daco_index.references.find import Split
from daco_index.references.object_stores import is_remote
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry


def add_photographs(
    index: Path,
    source: str,
    data_root: Path = Path("data"),
    split: Split = "all",
    options: EmbeddingOptions | None = None,
    keep: int = KEPT,
    source_options: SourceOptions | None = None,
) -> BuildReport:
    """Adds the photographs of a source to an index; they are embedded by the index's own encoder.

    Contents that are in the index are not embedded again. A file that is in the index keeps its id, and gets the
    source's place and position. If its content has changed, it gets a new id. If it cannot be read now, its entry stays
    as it was.

    Args:
        source, data_root, split: the photographs, see `find_references`; or a recording.
        keep: number of generations to keep, including the new one.
        source_options: how photographs are read from the source.

    Raises:
        DacoError: there is no complete index, or the user can correct another cause.
    """
    options = options or EmbeddingOptions()
    start = time.perf_counter()
    read_current(index)
    sources = source_options or SourceOptions()
    with Writer(index, keep) as writer:
        references = references_to_add(source, data_root, split, index, sources, options.progress)
        live = Bundle.open(index, options.trust)
        report = embed_and_publish(joined(references, live), Target(writer, live), live.encoder, options)
    return replace(report, seconds=round(time.perf_counter() - start, 3))


def update_index(index: Path, options: EmbeddingOptions | None = None, keep: int = KEPT) -> BuildReport:
    """Scans the sources of an index again: new files are added, changed ones get a new id, deleted ones are removed.

    An existing file that cannot be read now, because it is half-written or its disk fails, keeps its entry. Photographs
    that were removed with `remove` are not added again. A missing source is an error: an unmounted disk must not empty
    the index.

    Raises:
        DacoError: there is no complete index, a source is missing, or the user can correct another cause.
    """
    options = options or EmbeddingOptions()
    start = time.perf_counter()
    read_current(index)
    with Writer(index, keep) as writer:
        live = Bundle.open(index, options.trust)
        references = references_to_update(index, live, options.progress)
        report = embed_and_publish(references, Target(writer, live), live.encoder, options)
    return replace(report, seconds=round(time.perf_counter() - start, 3))


def remove_photographs(
    index: Path,
    places: Sequence[str] = (),
    paths: Sequence[str] = (),
    ids: Sequence[int] = (),
    keep: int = KEPT,
    trust: bool = False,
) -> tuple[Manifest, list[Entry]]:
    """Removes photographs from an index. The files themselves are not deleted.

    Args:
        places: names of places, each with all its photographs.
        paths: files, or folders with everything below them, on this machine or in an object store.
        keep: number of generations to keep, including the new one.
        trust: consent to load an encoder from torch.hub.

    Returns:
        The new generation's manifest, and the removed entries.

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
            raise UsageError("Name the photographs to remove: --place, --path or --id.")
        staying = [entry for entry in entries if entry.id not in leaving]
        if not staying:
            raise UsageError(f"That would remove every photograph of {index}: delete the folder instead.")
        manifest = live.manifest
        descriptors = Descriptors(manifest.dimension)
        descriptors.hold([entry.id for entry in staying], live.store, local=live.local)
        left_out = sorted({*manifest.left_out, *(entry.path for entry in leaving.values())})
        provenance = Provenance(manifest.source, f"remove {len(leaving)}", manifest.sources, tuple(left_out))
        spec = GenerationSpec(provenance, live.encoder, staying, descriptors, manifest.next_id)
        return publish(spec, Target(writer, live)), list(leaving.values())


def _choices(
    entries: Sequence[Entry], places: Sequence[str], paths: Sequence[str], ids: Sequence[int]
) -> list[tuple[str, list[Entry]]]:
    """Each selection as a phrase, with its entries."""
    choices = [(f"the place {place!r}", [entry for entry in entries if entry.place == place]) for place in places]
    for path in paths:
        # as written and with links resolved: the catalogue has real paths for folders, but not for data sets
        meant = {path.rstrip("/")} if is_remote(path) else {str(Path(path).absolute()), str(Path(path).resolve())}
        chosen = [entry for entry in entries if any(_is_below(entry.path, folder) for folder in meant)]
        choices.append((f"the path {path}", chosen))
    choices += [(f"the id {number}", [entry for entry in entries if entry.id == number]) for number in ids]
    return choices


def _is_below(path: str, folder: str) -> bool:
    """Whether a path or address equals `folder`, or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
