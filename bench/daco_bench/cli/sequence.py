"""`daco-bench sequence`: parses, calls, prints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_bench.cli.options import Json, QueriesArguments
from daco_core.console import PICTURES, check_output, new_app, option
from daco_core.index_argument import IndexCommand
from daco_core.option_groups import with_option_groups
from daco_index.cli.options import Index

if TYPE_CHECKING:
    from daco_bench.sequence.ride import SequenceReport

app = new_app("Measure recall over a sequence of frames.")


@app.command(cls=IndexCommand)
@with_option_groups
def sequence(
    index: Index,
    queries: Annotated[
        str, typer.Argument(help="The frames, in the natural order of their names: a folder, or NAME/domain.")
    ],
    *,
    asked: QueriesArguments,
    frames: Annotated[
        int | None,
        option(
            "frames",
            "Largest difference of a right match in frame numbers; by default, it is right within 25 m.",
            min=0,
        ),
    ] = None,
    seconds: Annotated[float, option("seconds", "Seconds between two frames that are used.", min=0.001)] = 1.0,
    speed: Annotated[float, option("speed", "Highest speed, in metres per second.", min=0.01)] = 15.0,
    every: Annotated[int, option("every", "Use every Nth frame: a faster ride.", min=1)] = 1,
    out: Annotated[
        Path | None, option("out", "Picture to draw, .png or .jpg: frames that one frame alone places wrongly.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Locate the frames of a sequence by single frames, by an average over ten, and by the tracking filter.

    Example: daco-bench sequence walk/night_right --index maps/walk-left --frames 3
    """
    import json

    from daco_bench.sequence.ride import open_ride
    from daco_serve.engine.tracking import Motion

    if out is not None:
        check_output("--out", out, PICTURES, in_new_folder=True)
    motion = Motion(speed=speed, step_seconds=seconds)
    ride = open_ride(asked.of(index, queries), motion, frames, every)
    report = ride.report()
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print_report(report, queries)
    if out is not None:
        from daco_bench.sequence.picture import ride_sheet
        from daco_core.photographs.contact_sheet import save_picture

        save_picture(ride_sheet(ride), out)


def _print_report(report: "SequenceReport", queries: str) -> None:
    from daco_bench.report.text_table import show
    from daco_bench.sequence.ride import RECOVERY, WINDOW, lines

    columns = ("method", "frames placed right", f"after the first {WINDOW} frames")
    show(columns, lines(report), title=f"{report.frames} frames of {queries}")
    lengths = ", ".join(f"{share:.0%}" for share in report.by_length)
    typer.echo(
        f"The filter from an unknown start, after 1 to {WINDOW} frames: {lengths} right; found after"
        f" {report.frames_until_found:g} frames (median).\n"
        f"Lost in {report.lost:.0%} of the frames after the first {WINDOW}. Moved elsewhere: right again after"
        f" {RECOVERY} frames in {report.recovered:.0%} of cases. With two of three frames dropped: {report.dropped:.0%}"
        " right."
    )


@app.command("filter-cost")
def filter_cost(
    references: Annotated[int, option("references", "Number of references of the synthetic map.", min=100)] = 1_000_000,
    frames: Annotated[int, option("frames", "Number of frames.", min=10)] = 200,
    as_json: Json = False,
) -> None:
    """Measure the time that the tracking filter adds to each query, on a synthetic map with many references.

    Example: daco-bench filter-cost --references 1000000
    """
    import json

    from daco_bench.sequence.cost import measure_cost

    report = measure_cost(references, frames)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
        return
    typer.echo(
        f"{report.references} references: {report.median_ms:.2f} ms per frame (median), {report.p95_ms:.2f} ms (95th"
        f" percentile), one thread; at most {report.most_states} references held."
    )
