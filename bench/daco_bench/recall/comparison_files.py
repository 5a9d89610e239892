"""Writes a comparison for the terminal, and as Markdown, CSV, JSON and HTML."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daco_bench.figures.report_figures import report_figures
from daco_bench.recall import table
from daco_bench.recall.comparison import TEST_HEADER, Comparison, test_cells, tests_to_json
from daco_bench.recall.retrieval import Retrieval
from daco_bench.report import text_table
from daco_bench.report.html_page import Section, Table, render_report, write_page


def tables(
    comparison: Comparison, ranks: Sequence[int], subject: str
) -> dict[str, tuple[Sequence[str], list[list[str]]]]:
    """Title to columns and lines: the recalls, and the paired tests, if any."""
    found: dict[str, tuple[Sequence[str], list[list[str]]]] = {
        f"Recall on {subject}, percent (95 % interval)": (
            table.header(ranks),
            [table.cells(row, ranks) for row in comparison.rows],
        )
    }
    if comparison.tests:
        title = "Paired tests of the differences: percentage points on the same queries"
        found[title] = (TEST_HEADER, [test_cells(test) for test in comparison.tests])
    return found


def to_markdown(comparison: Comparison, ranks: Sequence[int]) -> str:
    """The tables in Markdown."""
    return "\n\n".join(text_table.to_markdown(*content) for content in tables(comparison, ranks, "").values())


def to_json(comparison: Comparison, subject: str) -> dict[str, Any]:
    """All figures as plain values."""
    content: dict[str, Any] = {"dataset": subject, "rows": table.to_json(comparison.rows)}
    if comparison.tests:
        content["tests"] = tests_to_json(comparison.tests)
    return content


def write_comparison(
    comparison: Comparison,
    answers: Sequence[Retrieval],
    ranks: Sequence[int],
    subject: str,
    command: str,
    stem: Path,
) -> list[Path]:
    """Writes the comparison to `stem` with .md, .csv, .json and .html, and returns these.

    Raises:
        DacoError: a photograph cannot be read, or a file cannot be written.
    """
    shown = tables(comparison, ranks, subject)
    figures, note = report_figures(answers)
    section = Section(subject, command, [Table(*content) for content in shown.values()], figures, note)
    texts = {
        ".md": to_markdown(comparison, ranks) + "\n",
        ".csv": table.to_csv(comparison.rows, ranks, subject),
        ".json": json.dumps({"command": command, **to_json(comparison, subject)}, indent=2) + "\n",
        ".html": render_report(f"Recall on {subject}", [section]),
    }
    files = [stem.with_name(stem.name + suffix) for suffix in texts]
    for file, text in zip(files, texts.values(), strict=True):
        write_page(file, text)
    return files
