"""The manifest's record of the precision of queries."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16", "int8"]
"""What an engine computes in. Descriptors are always float32, and comparable between precisions."""

PrecisionRequest = Literal["auto", "fp32", "bf16", "int8"]


@dataclass(frozen=True)
class Tried:
    """The measurements for one precision.

    Args:
        recall, recall_fp32: R@1 of the corrupted copies in percent, embedded in this precision and in fp32.
        agreement: mean cosine similarity of the two descriptors of a copy.
        speedup: CPU time of fp32 for one photograph, divided by that of this precision; on a GPU, elapsed time.
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
    """The manifest's entry on the precision of queries.

    Args:
        precision: used for queries if the machine supports it.
        requested: the user's choice.
        reason: the reason for `precision`, in one sentence.
        queries: number of corrupted copies that were looked up.
        tried: the other precisions that were measured.
    """

    precision: Precision = "fp32"
    requested: PrecisionRequest = "auto"
    reason: str = "Nothing else was tried."
    queries: int = 0
    tried: tuple[Tried, ...] = ()


def parse_query_precision(content: dict[str, object] | None) -> QueryPrecision:
    """Parses a manifest's entry; fp32 if there is none. Raises TypeError."""
    if content is None:
        return QueryPrecision()
    tried = tuple(Tried(**one) for one in content.pop("tried"))  # type: ignore[attr-defined]
    return QueryPrecision(**content, tried=tried)  # type: ignore[arg-type]
