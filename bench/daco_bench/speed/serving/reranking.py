"""Measures what re-ranking costs: the same queries are sent to one server alternately with and without it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from daco_bench.report import text_table
from daco_bench.speed.serving.compare import WARM_SECONDS, load
from daco_bench.speed.serving.servers import daco_serve, running
from daco_bench.speed.serving.timings import ClientTimings
from daco_core.errors import UsageError
from daco_index.reranking import CANDIDATES
from daco_index.reranking.local_file import LOCAL_FILE
from daco_index.search.bundle import read_manifest


@dataclass(frozen=True)
class RerankingCost:
    """The measurements at one concurrency.

    Args:
        without, reranked: the medians of the rounds.
        throughput: answers per second with re-ranking, as a fraction of those without; the median over the rounds,
            each of which measures both.
        cpu_ms: CPU time that re-ranking adds to an answer, in all processes of the server; the median likewise.
    """

    clients: int
    without: ClientTimings
    reranked: ClientTimings
    throughput: float
    cpu_ms: float

    @classmethod
    def of(cls, clients: int, rounds: Sequence[tuple[ClientTimings, ClientTimings]]) -> "RerankingCost":
        """Computes it from rounds of (without, re-ranked)."""
        without, reranked = zip(*rounds, strict=True)
        return cls(
            clients,
            ClientTimings.median(without),
            ClientTimings.median(reranked),
            round(statistics.median(w.per_second / wo.per_second if wo.per_second else 0.0 for wo, w in rounds), 3),
            round(statistics.median(w.cpu_ms - wo.cpu_ms for wo, w in rounds), 2),
        )


def measure(
    index: Path,
    photographs: Sequence[Path],
    concurrencies: Sequence[int],
    seconds: float,
    rounds: int,
    workers: int,
    precision: str,
) -> list[RerankingCost]:
    """Sends queries to one server alternately with `rerank=20` and `rerank=0`; the order changes with every round.

    Raises:
        UsageError: the index has no local descriptors, or fewer photographs than candidates.
        DacoError: the server does not start, or the load cannot be made.
    """
    manifest = read_manifest(index)
    if LOCAL_FILE not in manifest.files:
        raise UsageError(f"{index} has no local descriptors: build it without --no-local, or with another encoder.")
    if manifest.count < CANDIDATES:
        raise UsageError(
            f"{index} has {manifest.count} photographs, and re-ranking is measured with {CANDIDATES} candidates."
        )
    measured: dict[int, list[tuple[ClientTimings, ClientTimings]]] = {clients: [] for clients in concurrencies}
    with running(daco_serve(index, workers, precision)) as server:
        plain, again = (replace(server, url=f"{server.url}?rerank={count}") for count in (0, CANDIDATES))
        load(again, photographs, max(concurrencies), WARM_SECONDS)
        for number in range(rounds):
            for clients, runs in measured.items():
                order = (plain, again) if number % 2 == 0 else (again, plain)
                timings = {one.url: load(one, photographs, clients, seconds) for one in order}
                runs.append((timings[plain.url], timings[again.url]))
    return [RerankingCost.of(clients, runs) for clients, runs in measured.items()]


def to_json(costs: Sequence[RerankingCost]) -> list[dict[str, Any]]:
    """Plain values, one item for each concurrency."""
    return [asdict(cost) for cost in costs]


def to_markdown(costs: Sequence[RerankingCost]) -> str:
    """A table, with two rows for each concurrency."""
    head = ["", "concurrency", "requests/s", "p50 ms", "p95 ms", "CPU ms each", "errors", "of the throughput without"]
    rows = []
    for cost in costs:
        for name, timings, share in (
            ("without", cost.without, ""),
            ("re-ranked", cost.reranked, f"{cost.throughput:.2f}"),
        ):
            values = [timings.per_second, timings.p50_ms, timings.p95_ms, timings.cpu_ms]
            errors = str(timings.errors + timings.refused)
            rows.append([name, str(cost.clients), *(f"{value:.1f}" for value in values), errors, share])
    return text_table.to_markdown(head, rows, words=1)
