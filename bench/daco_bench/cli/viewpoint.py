"""`daco-bench viewpoint`: parses, calls, prints."""

import json
from pathlib import Path
from typing import Annotated

import typer

from daco_bench.cli.figures import Encoders
from daco_bench.cli.options import Distance, Frames, Json, Markdown, Queries, Rerank, rank_list
from daco_core.console import Trust, check_output, new_app, option
from daco_core.errors import UsageError
from daco_core.photographs.layout import SPLITS
from daco_index.cli.options import DataRoot, Device
from daco_index.reranking import CANDIDATES

app = new_app("Measure recall under a change of viewpoint.")


@app.command()
def viewpoint(
    name: Annotated[
        str | None, typer.Argument(help="City below the data root, rendered with daco-data demo --viewpoint.")
    ] = None,
    encoder: Encoders = ["default"],  # noqa: B006  (Typer reads it, nobody changes it)
    data_root: DataRoot = Path("data"),
    split: Annotated[str, option("split", "Split of the city: train or val.")] = "val",
    references: Annotated[
        str | None,
        option("references", "Condition of the city's references, such as day.", show_default="the first"),
    ] = None,
    database: Annotated[
        Path | None, option("database", "Instead of NAME: folder of photographs, whose centres are the references.")
    ] = None,
    queries: Queries = None,
    distance: Distance = None,
    frames: Frames = None,
    ranks: Annotated[str, option("ranks", "Values of k for R@k; the curves show R@1.")] = "1,5,20",
    rerank: Rerank = CANDIDATES,
    out: Annotated[Path | None, option("out", "Figure to write: .svg, .png or .pdf.")] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Measure recall over the camera's displacement and rotation, without re-ranking and with it.

    With NAME: the viewpoints of a rendered city, in each condition; the same place is right.

    With --database: your own photographs. The middle of each is the reference, and queries are other windows of it,
    warped by known amounts: shifted, zoomed, rolled, and seen obliquely. With --queries, those photographs are warped
    instead, such as a second traversal by night; what is right is stated as for daco-bench recall.

    The figure (--out) needs the extra plot.

    Example: daco-bench viewpoint demo --encoder default --encoder imagenet=timm:tf_efficientnet_lite0 --out curves.svg
    """
    from daco_bench.recall.encoders import named_engines
    from daco_bench.report import text_table
    from daco_bench.viewpoint.measure import header, lines, measure_viewpoints, rows_to_json, viewpoint_curves
    from daco_bench.viewpoint.trials import city_trials, photograph_trials
    from daco_core.figures import DRAWINGS, drawing, save_figure
    from daco_core.photographs.layout import DataSet

    if (name is None) == (database is None):
        raise UsageError("Name either a rendered city or, with --database, a folder of photographs.")
    if name is not None and (queries or distance is not None or frames is not None):
        raise UsageError("--queries, --distance and --frames are for --database.")
    if split not in SPLITS:
        raise UsageError(f"--split must be {' or '.join(SPLITS)}, not {split!r}.")
    if out is not None:
        check_output("--out", out, DRAWINGS, in_new_folder=True)
        drawing()  # fails before the long work if it is not installed
    ks = tuple(sorted({1, *rank_list(ranks)}))
    if name is not None:
        trials = city_trials(DataSet(data_root, name), split, references)
    else:
        assert database is not None
        trials = photograph_trials(database, queries, distance, frames)
    rows = measure_viewpoints(trials, named_engines(encoder, device, trust), ks, rerank)
    if as_json:
        typer.echo(json.dumps({"benchmark": trials.title, "rows": rows_to_json(rows)}, indent=2))
    elif as_markdown:
        typer.echo(text_table.to_markdown(header(ks), lines(rows, ks), words=3))
    else:
        text_table.show(header(ks), lines(rows, ks), f"Recall, {trials.title}, percent (95 % interval)")
    if out is not None:
        save_figure(viewpoint_curves(rows), out)
        typer.echo(f"Written to {out}.", err=True)
