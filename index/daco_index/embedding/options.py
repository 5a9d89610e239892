"""How photographs are embedded: what the commands that do so have in common."""

from dataclasses import dataclass
from typing import Literal

from daco_index.embedding.precision_record import PrecisionRequest

LocalRequest = Literal["all", "half", "none"]


@dataclass(frozen=True)
class EmbeddingOptions:
    """How to embed photographs.

    Args:
        batch_size: photographs that the encoder takes at once.
        device: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes the GPU if there is one.
        strict: an unreadable photograph stops the work instead of being skipped.
        progress: show count, rate and time left on stderr.
        trust: run the code of an encoder from torch.hub.
        precision: of queries, once it is proved to find as much; None for that of the generation before. References
            are always embedded in fp32.
        local: which local descriptors to keep, for re-ranking: `all`, `half` of the cells, or `none`; None for those
            that the generation before has. An encoder that gives none has none.
        on_ray: spread the work over the Ray cluster that RAY_ADDRESS names, or over all of this machine through Ray.
    """

    batch_size: int = 16
    device: str = "auto"
    strict: bool = False
    progress: bool = True
    trust: bool = False
    precision: PrecisionRequest | None = None
    local: LocalRequest | None = None
    on_ray: bool = False
