"""The manifest's record of the precision of queries."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16", "int8"]
"""What an engine computes in. Descriptors are float32 whatever it is, and of all precisions comparable."""

PrecisionRequest = Literal["auto", "fp32", "bf16", "int8"]


@dataclass(frozen=True)
class Tried:
    """What was measured of a precision.

    Args:
        recall, recall_fp32: R@1 of the degraded copies in percent, embedded in this precision and in fp32.
        agreement: mean cosine of the two descriptors of one copy.
        speedup: CPU time of fp32 for one photograph as a multiple of this one's; on a GPU, time.
        accepted: whether it may be used.
    """

    precision: Precision
    recall: float
    recall_fp32: float
    agreement: float
    speedup: float
    accepted: bool


@dataclass(frozen=True)
class QueryPrecision:
    """What the manifest says of the precision of queries.

    Args:
        precision: that queries are computed in, where the machine can.
        wanted: what was asked for.
        reason: why this one, in one sentence.
        queries: how many degraded copies were looked up.
        tried: the others than fp32 that were measured.
    """

    precision: Precision = "fp32"
    wanted: PrecisionRequest = "auto"
    reason: str = "Nothing else was tried."
    queries: int = 0
    tried: tuple[Tried, ...] = ()


def parse_query_precision(content: dict[str, object] | None) -> QueryPrecision:
    """From a manifest; of one that says nothing, fp32. Raises TypeError."""
    if content is None:
        return QueryPrecision()
    tried = tuple(Tried(**one) for one in content.pop("tried"))  # type: ignore[attr-defined]
    return QueryPrecision(**content, tried=tried)  # type: ignore[arg-type]
