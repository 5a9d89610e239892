"""`daco-index tune`: parses, calls, prints; no logic."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from daco_core.console import Trust, check_output, new_app
from daco_core.index_argument import IndexCommand
from daco_index.cli.changes import saying_what_is_left
from daco_index.cli.options import KEEP, BatchSize, DataRoot, Device, Index, Json, Keep, SplitName, SplitOption

if TYPE_CHECKING:
    from daco_index.search.tune import TuneReport

app = new_app("Tune the search of an index.")


@app.command(cls=IndexCommand)
def tune(
    index: Index,
    queries: Annotated[
        str | None,
        typer.Option(
            help="Query photographs in the condition of later queries: NAME/domain or a folder.",
            show_default="the index's own descriptors, shifted as from day to night",
        ),
    ] = None,
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    recall: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Recall of the exact ten best matches to reach.",
            show_default="as the index was built",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the curve to this .svg, .png or .pdf file; needs daco-serve\\[plot].")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only measure; do not change the index.")] = False,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    trust: Trust = False,
    keep: Keep = KEEP,
    as_json: Json = False,
) -> None:
    """Measure recall, time and memory for the search parameters, and keep the fastest that reach the recall.

    An exact index has no parameters. The result is published as a new generation, which a running server loads.

    Example: daco-index tune maps/demo-day --queries demo/night --plot tune.svg
    """
    with saying_what_is_left(index):
        from daco_core.figures import DRAWINGS, drawing
        from daco_index.search.tune import TuneOptions, tune_index
        from daco_index.search.tuning_plot import plot_curve

        if plot is not None:
            check_output("--plot", plot, DRAWINGS, in_new_folder=True)
            drawing()  # fails before anything is measured if matplotlib is not installed
        options = TuneOptions(
            batch_size=batch_size,
            device=device,
            trust=trust,
            data_root=data_root,
            split=split.value,
            recall=recall,
            keep=keep,
            publish=not dry_run,
        )
        report = tune_index(index, queries, options)
        if as_json:
            print(json.dumps({"index": str(index), **asdict(report)}, indent=2))
        else:
            _print(index, report)
        if plot is not None:  # last, because the disk may be full
            title = f"{report.manifest.index}, {report.manifest.count} descriptors"
            plot_curve(report.points, report.chosen, report.exact_milliseconds, title, plot)


def _print(index: Path, report: "TuneReport") -> None:
    table = Table(title=f"{report.manifest.index}: recall of the exact ten best, median ms of one query")
    for name in (*report.chosen.parameters, "recall", "ms", ""):
        table.add_column(name, justify="right")
    for point in report.points:
        row = (*map(str, point.parameters.values()), f"{point.recall:.4f}", f"{point.milliseconds:.3f}")
        table.add_row(*row, "chosen" if point == report.chosen else "")
    Console().print(table)
    wanted = report.manifest.search.requested.recall
    missed = "" if report.chosen.recall >= wanted else f" No setting reaches {wanted:g}."
    print(f"Comparing every descriptor takes {report.exact_milliseconds:.2f} ms.{missed}")
    if report.published:
        print(f"{index} is generation {report.manifest.generation}, searched with the chosen parameters.")
