"""The options of all commands that embed photographs."""

from dataclasses import dataclass
from typing import Literal

from daco_index.embedding.precision_record import PrecisionRequest

LocalRequest = Literal["all", "half", "none"]


@dataclass(frozen=True)
class EmbeddingOptions:
    """How to embed photographs.

    Args:
        batch_size: number of photographs embedded at once.
        device: `cpu`, `cuda`, `cuda:1`, ...; `auto` uses a GPU if there is one.
        strict: fail at an unreadable photograph instead of skipping it.
        progress: show count, rate and remaining time on stderr.
        trust: allow the code of an encoder from torch.hub to be executed.
        precision: for queries, used if a test shows that it finds as much as fp32; None to keep that of the previous
            generation. References are always embedded in fp32.
        local: which local descriptors to keep for re-ranking: `all`, `half` of the cells, or `none`; None to do as the
            previous generation. Ignored if the encoder computes none.
        on_ray: distribute the work over the Ray cluster in RAY_ADDRESS, or over the cores of this machine through Ray.
    """

    batch_size: int = 16
    device: str = "auto"
    strict: bool = False
    progress: bool = True
    trust: bool = False
    precision: PrecisionRequest | None = None
    local: LocalRequest | None = None
    on_ray: bool = False
