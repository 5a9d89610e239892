"""The report of a run, in which each figure is compared with that of the previous run."""

from collections.abc import Sequence

from daco_bench.report.html_page import Section, Table
from daco_bench.report.suite.figures import figures, higher_is_better
from daco_bench.report.suite.parts import SuitePart
from daco_bench.report.suite.runs import SuiteRun
from daco_bench.speed.machine import in_words

CHANGED = 0.1  # a figure that changed by a smaller share is not called better or worse


def sections(run: SuiteRun, before: SuiteRun | None, parts: Sequence[SuitePart]) -> list[Section]:
    """A section for each part, in order: its figures, or that it failed."""
    note = ""
    if before is not None and before.about["machine"] != run.about["machine"]:
        note = f"The previous figures are from another machine: {in_words(before.about['machine'])}."
    found = []
    for part in parts:
        command = " ".join(part.command)
        result = run.result(part)
        if result is None:
            found.append(Section(part.title, command, note=f"Failed: {run.failure(part) or 'not run'}."))
            continue
        now = figures(result, part.figures)
        old = before.result(part) if before is not None else None
        earlier = {} if old is None else figures(old, part.figures)
        lines = [_line(name, value, earlier.get(name), part) for name, value in now.items()]
        found.append(Section(part.title, command, [Table(("figure", "now", "before", "change"), lines, 1)], note=note))
    return found


def worse(run: SuiteRun, before: SuiteRun | None, parts: Sequence[SuitePart]) -> list[str]:
    """The figures that became worse by more than a tenth, each with its part."""
    return [
        f"{part.name}: {line[0]} {line[2]} -> {line[1]}"
        for part, section in zip(parts, sections(run, before, parts), strict=True)
        for table in section.tables
        for line in table.lines
        if line[3].endswith("worse")
    ]


def _line(name: str, value: float, earlier: float | None, part: SuitePart) -> list[str]:
    if earlier is None:
        return [name, f"{value:.4g}", "", ""]
    change = (value - earlier) / abs(earlier) if earlier else float(value != earlier)
    verdict = ""
    if abs(change) > CHANGED:
        verdict = " better" if (change > 0) == higher_is_better(name, part.figures) else " worse"
    return [name, f"{value:.4g}", f"{earlier:.4g}", f"{100 * change:+.0f} %{verdict}"]
