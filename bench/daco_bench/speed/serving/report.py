"""The tables of a run, as text and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from daco_bench.report import text_table
from daco_bench.speed.machine import in_words, machine
from daco_bench.speed.serving.compare import OURS, ServingComparison, Soak
from daco_bench.speed.serving.timings import ClientTimings

MEBIBYTE = 2**20
PACKAGES = ("openvino", "pillow", "uvicorn")


def _measured_on() -> str:
    installed = {each.name.lower(): each.version for each in distributions()}
    packages = (f"{name} {installed[name]}" for name in PACKAGES if name in installed)
    return ", ".join((in_words(machine()), *packages))


def to_json(comparison: ServingComparison | None, soak: Soak | None, photographs: Sequence[Path]) -> dict[str, Any]:
    """All results as plain values."""
    content: dict[str, Any] = {"machine": _measured_on(), "photographs": _describe(photographs)}
    if comparison is not None:
        content["floor"] = {str(loops): timings.as_dict() for loops, timings in comparison.floor.items()}
        content["servers"] = [
            {
                "server": measured.name,
                "memory_mib": round(measured.memory / MEBIBYTE),
                "runs": {str(clients): timings.as_dict() for clients, timings in measured.runs.items()},
            }
            for measured in comparison.servers
        ]
        content["ratios"] = ratios(comparison)
    if soak is not None:
        content["soak"] = asdict(soak)
    return content


def ratios(comparison: ServingComparison) -> dict[str, float]:
    """Ratios of daco-serve to the bare loop and to each other server, at the measured concurrencies."""
    ours = next((measured.runs for measured in comparison.servers if measured.name == OURS), {})
    found = {}
    if 1 in ours and ours[1].p50_ms:
        found["p50 at 1, of the floor's"] = ours[1].p50_ms / comparison.floor[1].p50_ms
    best = max(timings.per_second for timings in comparison.floor.values())
    least_cpu = comparison.floor[1].cpu_ms
    for clients, timings in ours.items():
        found[f"requests/s at {clients}, of the floor's"] = timings.per_second / best
        if least_cpu:
            found[f"CPU time at {clients}, of the floor's"] = timings.cpu_ms / least_cpu
        for other in comparison.servers:
            if other.name != OURS and clients in other.runs and other.runs[clients].per_second:
                found[f"requests/s at {clients}, of {other.name}'s"] = (
                    timings.per_second / other.runs[clients].per_second
                )
    return {name: round(value, 2) for name, value in found.items()}


def to_markdown(comparison: ServingComparison | None, soak: Soak | None, photographs: Sequence[Path]) -> str:
    """The tables in Markdown."""
    parts = [f"{_measured_on()}. {_describe(photographs)}"]
    if comparison is not None:
        parts += [_table(comparison), _ratio_table(comparison)]
    if soak is not None:
        parts.append(_soak_sentence(soak))
    return "\n\n".join(parts)


def _table(comparison: ServingComparison) -> str:
    head = ["", "at once", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms each", "503", "errors", "memory MiB"]
    rows = [["floor", str(loops), *_cells(timings), ""] for loops, timings in comparison.floor.items()]
    for measured in comparison.servers:
        memory = f"{measured.memory / MEBIBYTE:.0f}"
        rows += [[measured.name, str(clients), *_cells(timings), memory] for clients, timings in measured.runs.items()]
    return text_table.to_markdown(head, rows, words=1)


def _cells(timings: ClientTimings) -> list[str]:
    values = [timings.per_second, timings.p50_ms, timings.p95_ms, timings.p99_ms, timings.cpu_ms]
    return [*(f"{value:.1f}" for value in values), str(timings.refused), str(timings.errors)]


def _ratio_table(comparison: ServingComparison) -> str:
    return text_table.to_markdown(
        [OURS, "times"], [[name, f"{value:.2f}"] for name, value in ratios(comparison).items()], words=1
    )


def _soak_sentence(soak: Soak) -> str:
    timings = soak.timings
    first, last = soak.memory[0][1] / MEBIBYTE, soak.memory[-1][1] / MEBIBYTE
    return (
        f"Soak: {soak.seconds:g} s with {soak.clients} at once: {timings.answered} answered"
        f" ({timings.per_second:.1f}/s, p99 {timings.p99_ms:.0f} ms), {timings.refused} refused with 503,"
        f" {timings.errors} errors; memory {first:.0f} MiB at the start, {last:.0f} at the end; from the second"
        f" fifth to the last {soak.growth:+.1f} %."
    )


def _describe(photographs: Sequence[Path]) -> str:
    size = sum(file.stat().st_size for file in photographs) / len(photographs) / 1e6
    return f"{len(photographs)} photographs of {size:.1f} MB on average."
