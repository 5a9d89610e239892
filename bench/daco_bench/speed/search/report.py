"""The comparison as Markdown and JSON, with an extrapolation to sizes that were not measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np

from daco_bench.report import text_table
from daco_bench.speed.machine import machine
from daco_bench.speed.search.run import BATCH, SearchRow
from daco_index.search.index_choice import size

FAR = (10**8, 10**9)
COLUMNS = (
    "descriptors",
    "index",
    "asked",
    "recall",
    "one query, ms",
    "of bare FAISS",
    f"batch of {BATCH}, ms",
    "of bare FAISS",
    "build, CPU s",
    "bytes per vector: memory",
    "disk",
    "resident, MiB: own",
    "mapped",
)


@dataclass(frozen=True)
class Growth:
    """How the figures of the compressed index grow with the count, and their extrapolation.

    Args:
        slopes: by quantity, the exponent of the count, by least squares over all measured sizes.
        far: by count, the quantities extrapolated from the largest measured size; bytes at least in proportion.
    """

    slopes: dict[str, float]
    far: dict[int, dict[str, float]]


def growth(rows: Sequence[SearchRow]) -> Growth | None:
    """The growth of daco-serve's compressed index; None if only one size was measured.

    Without the catalogue, whose speed depends on how much of it the kernel has cached.
    """
    ours = sorted(
        (row for row in rows if (row.kind, row.asked) == ("small", "no catalogue")), key=lambda row: row.count
    )
    if len(ours) < 2:
        return None
    counts = [row.count for row in ours]
    quantities = {
        "query_ms": [row.query_ms for row in ours],
        "batch_ms": [row.batch_ms for row in ours],
        "build_cpu_seconds": [row.build_cpu_seconds for row in ours],
        "memory_bytes": [row.bytes_per_vector * row.count for row in ours],
        "disk_bytes": [row.disk_bytes_per_vector * row.count for row in ours],
    }
    slopes = {
        name: float(np.polyfit(np.log(counts), np.log(np.maximum(values, 1e-9)), 1)[0])
        for name, values in quantities.items()
    }
    # bytes per vector do not keep falling: with few vectors, the fixed part has more weight
    powers = {name: max(slope, 1.0) if name.endswith("_bytes") else slope for name, slope in slopes.items()}
    far = {
        count: {name: values[-1] * (count / counts[-1]) ** powers[name] for name, values in quantities.items()}
        for count in FAR
    }
    return Growth({name: round(slope, 3) for name, slope in slopes.items()}, far)


def to_line(row: SearchRow) -> str:
    """The measurements of a row, to be printed immediately."""
    return (
        f"{row.count}: {row.kind}, {row.asked}: recall {row.recall:.3f}, one query {row.query_ms:.3g} ms,"
        f" {BATCH} in {row.batch_ms:.3g} ms"
    )


def to_markdown(rows: Sequence[SearchRow]) -> str:
    """A table of all rows, and one of the growth."""
    bare = {(row.count, row.kind): row for row in rows if row.asked.startswith("bare FAISS")}
    lines = [list(COLUMNS), ["---:", "---", "---"] + ["---:"] * (len(COLUMNS) - 3)]
    for row in rows:
        base = bare.get((row.count, row.kind))
        lines.append(
            [
                f"{row.count:,}",
                f"{row.factory}{', chosen' if row.chosen else ''}",
                row.asked,
                f"{row.recall:.3f}",
                f"{row.query_ms:.3f}",
                f"{row.query_ms / base.query_ms:.2f}" if base else "",
                f"{row.batch_ms:.2f}",
                f"{row.batch_ms / base.batch_ms:.2f}" if base else "",
                f"{row.build_cpu_seconds:.1f}",
                f"{row.bytes_per_vector:.0f}",
                f"{row.disk_bytes_per_vector:.0f}",
                "" if row.own_mib is None else f"{row.own_mib:.0f}",
                "" if row.mapped_mib is None else f"{row.mapped_mib:.0f}",
            ]
        )
    tables = ["\n".join(f"| {' | '.join(line)} |" for line in lines)]
    grown = growth(rows)
    if grown is not None:
        tables.append(_growth_table(grown))
    return "\n\n".join(tables)


def to_json(rows: Sequence[SearchRow], dimension: int, goal: float, statistics: dict[str, Any]) -> dict[str, Any]:
    """All results, with a description of the machine; `goal` is the recall to which the engines were tuned."""
    grown = growth(rows)
    return {
        "machine": {
            **machine(),
            "faiss": faiss.__version__,
            "faiss_options": faiss.get_compile_options().strip(),
        },
        "dimension": dimension,
        "goal": goal,
        "batch": BATCH,
        "descriptors": statistics,
        "rows": [asdict(row) for row in rows],
        "growth": None if grown is None else asdict(grown),
    }


def _growth_table(grown: Growth) -> str:
    texts: dict[str, tuple[str, Callable[[float], str]]] = {
        "query_ms": ("one query", lambda value: f"{value:.1f} ms"),
        "batch_ms": (f"batch of {BATCH}", lambda value: f"{value:.0f} ms"),
        "build_cpu_seconds": ("build", lambda value: f"{value / 3600:.1f} core hours"),
        "memory_bytes": ("memory", size),
        "disk_bytes": ("disk", size),
    }
    head = ["small index", "grows with the count to the", *(f"at 10^{round(math.log10(count))}" for count in FAR)]
    lines = [
        [title, f"{grown.slopes[name]:.2f}", *(text(grown.far[count][name]) for count in FAR)]
        for name, (title, text) in texts.items()
    ]
    return text_table.to_markdown(head, lines, words=1)
