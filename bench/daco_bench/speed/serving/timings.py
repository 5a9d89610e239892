"""What was measured of a run: requests a second, and how long they took."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClientTimings:
    """One run at one concurrency.

    Args:
        answered: requests that were answered with 200.
        refused: with 503, as a full server should.
        errors: with anything else, or not at all.
        per_second: answered ones.
        p50_ms, p95_ms, p99_ms: from the first byte sent to the last received, of the answered ones; 0 if there is none.
        cpu_ms: CPU time of all the server's processes for each answered one, which other work on the machine changes
            little; 0 if it was not taken.
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
        """From the seconds that each answered request took, and those that the run took."""
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
        """Of several rounds: all that were counted, and the medians of what was timed."""
        counts = {name: sum(getattr(one, name) for one in rounds) for name in ("answered", "refused", "errors")}
        timed = ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms")
        return cls(
            **counts, **{name: round(statistics.median(getattr(one, name) for one in rounds), 2) for name in timed}
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
