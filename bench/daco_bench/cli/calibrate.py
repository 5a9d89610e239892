"""`daco-bench calibrate` and `prior`: parse, call, print."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_bench.cli.options import Json, QueriesArguments
from daco_core.console import check_output, new_app, option
from daco_core.errors import DacoError, UsageError
from daco_core.index_argument import IndexCommand
from daco_core.option_groups import with_option_groups
from daco_index.cli.options import DataRoot, Device, Index, SplitName, SplitOption

if TYPE_CHECKING:
    from daco_serve.engine.calibration import Calibration

app = new_app("Fit and evaluate calibrations.")


@app.command(cls=IndexCommand)
@with_option_groups
def calibrate(
    index: Index,
    queries: Annotated[
        str | None,
        typer.Argument(
            help="Query photographs that were not used for training: NAME/domain of a data set, or a folder. Not needed"
            " with --self."
        ),
    ] = None,
    by_copies: Annotated[
        bool,
        option("self", "Without queries: use degraded copies of the references. Needs local descriptors."),
    ] = False,
    *,
    asked: QueriesArguments,
    elsewhere: Annotated[
        float, option("elsewhere", "Expected share of queries from places that are not in the index.", min=0, max=0.9)
    ] = 0.2,
    frames: Annotated[
        int | None,
        option(
            "frames",
            "For numbered frames without positions: largest difference of a right match in frames.",
            show_default="the same name",
            min=0,
        ),
    ] = None,
    force: Annotated[bool, option("force", "Write it even if it is no better than a constant prediction.")] = False,
    out: Annotated[Path | None, option("out", "File to write instead of the index.")] = None,
    as_json: Json = False,
) -> None:
    """Fit a calibration: the probability that a location is right within 25 m, and an error radius.

    The queries need positions, or the place names of the index. The result is stored in the folder of the index, and
    a running server loads it. It holds for the encoder of the index only; with another one, run this again.

    Example: daco-bench calibrate demo/night --split val --index maps/demo-day
    """
    from daco_bench.calibration.copies import calibrate_by_copies
    from daco_bench.calibration.own import calibrate as fit_calibration
    from daco_index.generations.folders import CALIBRATION_FILE

    file = out or index / CALIBRATION_FILE
    if out is not None:
        check_output("--out", out)
    if by_copies:
        if queries is not None or frames is not None:
            raise UsageError("--self uses copies of the references: leave the queries and --frames out.")
        calibration = calibrate_by_copies(index, elsewhere, asked.device, asked.trust)
    elif queries is None:
        raise UsageError("Name the query photographs, or use --self to calibrate with copies of the references.")
    else:
        calibration = fit_calibration(asked.of(index, queries), elsewhere, frames)
    if as_json:
        typer.echo(calibration.model_dump_json(indent=2))
    else:
        _print_calibration(calibration)
    held_out = calibration.held_out
    if held_out is not None and not held_out.helps and not force:
        raise DacoError(
            f"Not written: on held-out queries, its probabilities (Brier score {held_out.brier:.3f})"
            f" are no better than always predicting the mean ({held_out.brier_constant:.3f}). Use more queries, from"
            " all over the map; or --force."
        )
    calibration.save(file)
    if not as_json:
        typer.echo(f"Written to {file}.")


@app.command()
def prior(
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=INDEX,QUERIES[,FRAMES]...",
            help="An index and photographs of its places. Pairs of one name are one set; without positions, a match so"
            " many frames off is right.",
        ),
    ],
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    out: Annotated[Path | None, option("out", "File to write the prior to.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Fit one calibration on several sets, and judge it on each set with one fitted on the others.

    Each query is evaluated twice: with the index, and with the index without its place. The table shows how well the
    two cases are distinguished on a held-out set, without and with re-ranking. The prior of the encoder that ships is
    made in this way; a server uses it if an index has no calibration of its own.

    Example: daco-bench prior walk=maps/walk,walk/night,3 city=maps/city,demo/night --out prior.json
    """
    from daco_bench.calibration.prior import Pair, measure_prior
    from daco_bench.report import text_table

    if out is not None:
        check_output("--out", out)
    fitted, reports = measure_prior([Pair.parse(text) for text in pairs], data_root, split.value, device)
    if out is not None:
        fitted.save(out)
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=2))
        return
    columns = [
        "set left out",
        "queries on the map + elsewhere",
        "AUC without votes",
        "AUC",
        "AUC of right within 25 m",
        "Brier score of right",
        "located, on the map",
        "located, elsewhere",
        "located, elsewhere, where 90 % on the map are",
    ]
    lines = [
        [
            report.name,
            f"{report.queries[0]} + {report.queries[1]}",
            f"{report.plain_auc:.3f}",
            f"{report.auc:.3f}",
            f"{report.right_auc:.3f}",
            f"{report.brier:.3f}",
            f"{100 * report.located_present:.0f} %",
            f"{100 * report.located_absent:.1f} %",
            f"{100 * report.false_alarms:.1f} %",
        ]
        for report in reports
    ]
    text_table.show(columns, lines, "On the map or not: each set evaluated with a prior that was fitted on the others")
    if out is not None:
        typer.echo(f"Written to {out}.")


def _print_calibration(calibration: "Calibration") -> None:
    from rich.console import Console
    from rich.table import Table

    held_out = calibration.held_out
    assert held_out is not None  # a fit that is judged has one
    table = Table(title="Predicted and observed, on held-out queries", title_justify="left")
    for name in ("predicted probability", "queries", "mean prediction", "observed"):
        table.add_column(name, justify="right")
    for point in held_out.curve:
        table.add_row(
            f"{point.least:.1f} to {point.most:.1f}",
            f"{100 * point.share:.0f} %",
            f"{point.predicted:.2f}",
            f"{point.observed:.2f}",
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    typer.echo(
        f"{calibration.count} queries, {100 * calibration.recall:.0f} % of them located correctly. Expected calibration"
        f" error {held_out.error:.3f}; Brier score {held_out.brier:.3f}, of a constant prediction"
        f" {held_out.brier_constant:.3f}.\n"
        f"The answer is 'not on this map' for {100 * held_out.refused_elsewhere:.0f} % of queries from elsewhere"
        f" and for {100 * held_out.refused_on_map:.0f} % of the others."
    )
    if held_out.within_radius is not None:
        typer.echo(
            f"The radius contains the true position in {100 * held_out.within_radius:.0f} % of cases; the aim is 68 %."
        )
