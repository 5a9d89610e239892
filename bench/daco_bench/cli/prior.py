"""`daco-bench prior`: parses, calls, prints."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daco_bench.cli.options import Json
from daco_core.console import new_app, option
from daco_index.cli.options import DataRoot, Device, SplitName, SplitOption

app = new_app("Fit the calibration that ships with an encoder.")


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
            f"{100 * report.located_present:.0f} %",
            f"{100 * report.located_absent:.1f} %",
            f"{100 * report.false_alarms:.1f} %",
        ]
        for report in reports
    ]
    text_table.show(columns, lines, "On the map or not: each set evaluated with a prior that was fitted on the others")
    if out is not None:
        typer.echo(f"Written to {out}.")
