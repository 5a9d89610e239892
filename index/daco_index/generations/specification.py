"""The values that are passed between the stages of a build: what a generation will contain, and where it goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from daco_core.encoder.stored import StoredEncoder
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import Writer
from daco_index.generations.manifest import SourceRecord
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry
from daco_index.search.index_choice import SearchOptions


@dataclass(frozen=True)
class Provenance:
    """The origin of a generation's photographs, as recorded in its manifest.

    Args:
        source: the source as the user gave it.
        change: the command that created the generation from the previous one: `build`, `add`, ...
        sources: the sources that `update` scans again.
        left_out: files of the sources that were removed with `remove`.
    """

    source: str
    change: str
    sources: tuple[SourceRecord, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """The index that gets a new generation.

    Args:
        writer: holds its lock.
        before: the previous generation: its descriptors are reused, and its trained index and precision of queries are
            kept if they fit; None for none.
        search: how to search the descriptors; None to do as `before`.
        store: `faiss` or the address of a Milvus server; None for the store that the index has.
        samples: JPEG images to offer as samples; None for those of `before`.
    """

    writer: Writer
    before: Bundle | None
    search: SearchOptions | None = None
    store: str | None = None
    samples: list[bytes] | None = None


@dataclass(frozen=True)
class GenerationSpec:
    """The contents of a new generation.

    Args:
        provenance: of its photographs.
        encoder: the encoder that computed the descriptors.
        entries: a catalogue row for each photograph, sorted by id.
        descriptors: for the ids of the entries, of length 1; with local descriptors if all photographs have them.
        next_id: ids below it are not used again; the ids of `entries` need not be below it.
    """

    provenance: Provenance
    encoder: StoredEncoder
    entries: Sequence[Entry]
    descriptors: Descriptors
    next_id: int

    def follows(self, before: Bundle | None) -> bool:
        """Whether its descriptors are comparable with those of another generation: both have the same encoder."""
        return before is not None and before.manifest.encoder_fingerprint == self.encoder.fingerprint

    def equals(self, before: Bundle) -> bool:
        """Whether another generation already has exactly these contents."""
        manifest, provenance = before.manifest, self.provenance
        same_origin = (manifest.sources, manifest.left_out) == (provenance.sources, provenance.left_out)
        return same_origin and list(self.entries) == before.catalog.all()
