"""An index, and photographs of its places."""

from dataclasses import dataclass
from pathlib import Path

from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.references.find import Reference, Split, find_references
from daco_index.search.bundle import Bundle


@dataclass(frozen=True)
class IndexedQueries:
    """An index, and photographs that are looked up in it, whose places are known.

    Args:
        index: folder of the index.
        queries, data_root, split: the photographs, see `find_references`.
        device: where they are embedded, such as cpu.
        trust: whether third-party code of an encoder from torch.hub may be executed.
    """

    index: Path
    queries: str
    data_root: Path = Path("data")
    split: Split = "all"
    device: str = "auto"
    trust: bool = False

    def open(self) -> tuple[Bundle, Engine, list[Reference]]:
        """The index, the engine of its encoder, and the photographs.

        Raises:
            DacoError: there is no index, or there are no photographs.
        """
        bundle = Bundle.open(self.index, self.trust)
        truths = find_references(self.queries, self.data_root, self.split)
        return bundle, query_engine(bundle, self.device), truths
