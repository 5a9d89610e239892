"""The measurements of a run: requests per second, and latencies."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClientTimings:
    """One run at one concurrency.

    Args:
        answered: number of requests answered with 200.
        refused: number answered with 503, as expected of a full server.
        errors: number with any other answer, or none.
        per_second: answered requests per second.
        p50_ms, p95_ms, p99_ms: from the first byte sent to the last received, for answered requests; 0 without any.
        cpu_ms: CPU time of all the server's processes per answered request, which other load affects little; 0 if not
            measured.
    """

    answered: int
    refused: int
    errors: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float = 0.0

    @classmethod
    def of(cls, latencies: Sequence[float], seconds: float, refused: int = 0, errors: int = 0) -> "ClientTimings":
        """From the seconds of each answered request, and of the run."""
        p50, p95, p99 = np.percentile(latencies, (50, 95, 99)) * 1000 if latencies else (0, 0, 0)
        return cls(
            answered=len(latencies),
            refused=refused,
            errors=errors,
            per_second=round(len(latencies) / seconds, 2),
            p50_ms=round(float(p50), 1),
            p95_ms=round(float(p95), 1),
            p99_ms=round(float(p99), 1),
        )

    @classmethod
    def median(cls, rounds: Sequence["ClientTimings"]) -> "ClientTimings":
        """Combines several rounds: the sums of the counts, and the medians of the times."""
        counts = {name: sum(getattr(one, name) for one in rounds) for name in ("answered", "refused", "errors")}
        timed = ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms")
        return cls(
            **counts, **{name: round(statistics.median(getattr(one, name) for one in rounds), 2) for name in timed}
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
