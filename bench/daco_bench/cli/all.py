"""`daco-bench all`: parses, calls, prints."""

from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option, words
from daco_core.errors import DacoError, UsageError
from daco_index.cli.options import DataRoot

app = new_app("Measure everything.")


@app.command("all")
def everything(
    name: Annotated[str, typer.Argument(help="Data set with twins, such as that of daco-data demo.")],
    data_root: DataRoot = Path("data"),
    out: Annotated[Path, option("out", "Folder for the results of all runs, and the report.")] = Path("bench"),
    parts: Annotated[str | None, option("parts", "Parts to run, separated by commas.", show_default="all")] = None,
    quick: Annotated[
        bool, option("quick", "Use the smallest sizes, to check in minutes that everything runs.")
    ] = False,
) -> None:
    """Run all benchmarks and write an HTML report that compares each figure with the previous run.

    Takes hours on two cores. The same command resumes a stopped run with the unfinished part. If a part fails, the
    report says so, the other parts run, and the exit code is 1.

    Example: daco-bench all demo --out bench --parts recall,serve
    """
    from daco_bench.report.html_page import render_report, write_page
    from daco_bench.report.suite.page import sections, worse
    from daco_bench.report.suite.parts import all_parts
    from daco_bench.report.suite.runs import begin_run, do_parts
    from daco_core.photographs.layout import DataSet

    DataSet(data_root, name)  # fails before anything runs
    wanted = words(parts) if parts is not None else None
    settings = {"name": name, "data_root": str(data_root.absolute()), "parts": wanted, "quick": quick}
    known = [part.name for part in all_parts(name, data_root, out, quick)]
    if unknown := [word for word in wanted or known if word not in known]:
        raise UsageError(f"There is no part {unknown[0]!r}: choose from {', '.join(known)}.")
    run, before = begin_run(out, settings)
    suite = [part for part in all_parts(name, data_root, run.folder, quick) if part.name in (wanted or known)]

    def note(text: str) -> None:
        typer.echo(text, err=True)

    do_parts(run, suite, note)
    report = out / "report.html"
    write_page(report, render_report(f"Benchmarks of daco-serve, run {run.folder.name}", sections(run, before, suite)))
    for line in worse(run, before, suite):
        note(f"Worse than in the previous run: {line}")
    typer.echo(report)
    if failed := run.about["failed"]:
        raise DacoError(f"These parts failed: {', '.join(failed)}; the report contains the others.")
