"""Lists the generations of an index, and restores an older one."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError
from daco_index.build import keep_precision, publish
from daco_index.generations.contents import republish
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import KEPT, Writer, finished_generations, generation_folder, read_current
from daco_index.generations.manifest import Manifest
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.search.bundle import Bundle, highest_next_id, read_kept_manifest
from daco_index.search.stores.address import FAISS


@dataclass(frozen=True)
class Kept:
    """A generation in the index; if its manifest cannot be read, `manifest` is None and `damage` says why."""

    generation: int
    live: bool
    manifest: Manifest | None
    damage: str | None = None


def list_generations(index: Path) -> list[Kept]:
    """The generations of an index, oldest first. Only their manifests are read.

    Raises:
        DacoError: there is no index.
    """
    live = read_current(index).generation
    kept = []
    for number in finished_generations(index):
        try:
            kept.append(Kept(number, number == live, read_kept_manifest(index, number)))
        except DacoError as error:
            kept.append(Kept(number, number == live, None, str(error)))
    return kept


def roll_back(index: Path, to: int | None = None, keep: int = KEPT, trust: bool = False) -> Manifest:
    """Publishes the contents of an older generation as a new generation, so that numbers only increase.

    A second rollback undoes the first. The live generation may be damaged; the older one must be intact.

    Args:
        to: the number of the generation; None for the one before the live one.
        keep: number of generations to keep, including the new one.

    Raises:
        DacoError: there is no such generation, it is damaged, or the index cannot be written.
    """
    live = None
    try:
        live = read_current(index).generation
    except DacoError:
        if to is None or not finished_generations(index):
            raise
    with Writer(index, keep) as writer:
        with suppress(DacoError):
            live = read_current(index).generation
        kept = [number for number in finished_generations(index) if number != live]
        if not kept:
            raise NotFound(f"{index} has no other generation than the live one, {live}, to roll back to.")
        if to is not None and to not in kept:
            raise UsageError(f"{index} has no older generation {to}: choose one of {', '.join(map(str, kept))}.")
        chosen = kept[-1] if to is None else to
        old = Bundle.open_kept(index, chosen, trust)
        manifest, change, next_id = old.manifest, f"rollback to {chosen}", highest_next_id(index)
        if old.store.address == FAISS:
            return republish(writer, generation_folder(index, chosen), manifest, change, next_id)
        live_bundle = None
        with suppress(DacoError):
            live_bundle = Bundle.open(index, trust)
        entries = old.catalog.all()
        descriptors = Descriptors(manifest.dimension)
        descriptors.hold([entry.id for entry in entries], old.store, local=old.local)
        provenance = Provenance(manifest.source, change, manifest.sources, manifest.left_out)
        spec = GenerationSpec(provenance, old.encoder, entries, descriptors, next_id)
        target = Target(writer, live_bundle, manifest.search.requested, old.store.address)
        return publish(spec, target, keep_precision(old))
