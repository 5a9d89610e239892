"""Merges several indexes of the same encoder into one."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import UsageError
from daco_index.build import publish
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import CURRENT_FILE, KEPT, Writer, read_current
from daco_index.generations.manifest import Manifest
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.search.bundle import Bundle, highest_next_id
from daco_index.search.catalog import Entry
from daco_index.search.stores.address import check_address


def merge_indexes(
    indexes: Sequence[Path], out: Path, keep: int = KEPT, trust: bool = False, store: str | None = None
) -> Manifest:
    """Writes the photographs of several indexes into one index, without embedding them again.

    The first index's photographs keep their ids; the others get new ones. A file that is in several indexes is taken
    from the first of them. Local descriptors are kept if all indexes have them in the same form.

    Args:
        indexes: at least two.
        out: a new folder, or the first of `indexes`, which then gets a new generation.
        keep: number of generations of `out` to keep, including the new one.
        store: `faiss` or the address of a Milvus server; None for the store that `out` has.

    Raises:
        DacoError: their encoders differ, one is damaged, or `out` contains another index.
    """
    store = None if store is None else check_address(store)
    for index in indexes:
        read_current(index)
    if (out / CURRENT_FILE).exists() and out.resolve() != indexes[0].resolve():
        raise UsageError(f"{out} contains another index: name a new folder, or the first of the indexes to merge.")
    with Writer(out, keep) as writer:
        bundles = [Bundle.open(index, trust) for index in indexes]
        first = bundles[0]
        for index, bundle in zip(indexes, bundles, strict=True):
            if bundle.manifest.encoder_fingerprint != first.manifest.encoder_fingerprint:
                raise UsageError(
                    f"{indexes[0]} and {index} have different encoders ({first.manifest.backbone} and"
                    f" {bundle.manifest.backbone}), so their descriptors cannot be compared: build one of them again."
                )
        fresh = itertools.count(max(first.manifest.next_id, highest_next_id(out)))
        entries: dict[str, Entry] = {entry.path: entry for entry in first.catalog.all()}
        descriptors = Descriptors(first.manifest.dimension)
        descriptors.hold([entry.id for entry in entries.values()], first.store, local=first.local)
        for bundle in bundles[1:]:
            joining = [entry for entry in bundle.catalog.all() if entry.path not in entries]
            numbers = list(itertools.islice(fresh, len(joining)))
            descriptors.hold(numbers, bundle.store, [entry.id for entry in joining], bundle.local)
            entries |= {entry.path: entry._replace(id=number) for entry, number in zip(joining, numbers, strict=True)}
        sources = dict.fromkeys(record for bundle in bundles for record in bundle.manifest.sources)
        left_out = {path for bundle in bundles for path in bundle.manifest.left_out} - set(entries)
        provenance = Provenance(
            source=", ".join(dict.fromkeys(bundle.manifest.source for bundle in bundles)),
            change=f"merge of {len(indexes)}",
            sources=tuple(sources),
            left_out=tuple(sorted(left_out)),
        )
        rows = sorted(entries.values(), key=lambda entry: entry.id)
        spec = GenerationSpec(provenance, first.encoder, rows, descriptors, next(fresh))
        return publish(spec, Target(writer, first, store=store))
