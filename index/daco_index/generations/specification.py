"""What a generation is to hold and where it goes: the values that the stages of a build hand on."""

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
    """Where the photographs of a generation come from, as its manifest has it.

    Args:
        source: what the photographs were named by.
        change: what made the generation of the one before: `build`, `add`, ...
        sources: what `update` looks at again.
        left_out: files of the sources that were removed from the index on purpose.
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
        before: the generation to start from: its descriptors are not made again, its trained index and its precision
            of queries are kept where they fit; None for none.
        search: how the descriptors are to be searched; None for how `before` is.
        store: `faiss` or the address of a Milvus server; None for where the index has its vectors already.
        samples: JPEGs to try the index with; None for those of `before`.
    """

    writer: Writer
    before: Bundle | None
    search: SearchOptions | None = None
    store: str | None = None
    samples: list[bytes] | None = None


@dataclass(frozen=True)
class GenerationSpec:
    """All that a generation is to hold.

    Args:
        provenance: of its photographs.
        encoder: that made the descriptors.
        entries: a row of the catalogue for each photograph, by rising id.
        descriptors: of length 1, for the ids of the entries; with local descriptors if all have them.
        next_id: no id below it is given again; those of the entries need not be counted in.
    """

    provenance: Provenance
    encoder: StoredEncoder
    entries: Sequence[Entry]
    descriptors: Descriptors
    next_id: int

    def follows(self, before: Bundle | None) -> bool:
        """Whether its descriptors can be compared with those of another generation: one encoder made both."""
        return before is not None and before.manifest.encoder_fingerprint == self.encoder.fingerprint

    def equals(self, before: Bundle) -> bool:
        """Whether another generation holds just this already."""
        manifest, provenance = before.manifest, self.provenance
        same_origin = (manifest.sources, manifest.left_out) == (provenance.sources, provenance.left_out)
        return same_origin and list(self.entries) == before.catalog.all()
