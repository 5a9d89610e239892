"""`daco-serve locate`: locates a query set in an index, without a server."""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import Trust, check_output, number, option
from daco_core.errors import DacoError
from daco_core.index_argument import INDEX_HELP
from daco_core.photographs.formats import skipped_words
from daco_core.untrusted_text import printable
from daco_index.reranking import CANDIDATES

if TYPE_CHECKING:
    from daco_serve.api.query_set import LocatedQuery


def locate(
    index: Annotated[Path, typer.Argument(help=INDEX_HELP)],
    images: Annotated[
        list[Path], typer.Argument(help="The photographs to locate: files, or folders including their subfolders.")
    ],
    out: Annotated[
        Path | None, option("out", "Write the estimates of all photographs to this .csv, .json or .geojson file.")
    ] = None,
    rerank: Annotated[
        int, option("rerank", "Number of candidates to re-rank by local descriptors.", min=0)
    ] = CANDIDATES,
    batch_size: Annotated[int, option("batch_size", "Photographs that the encoder embeds at once.", min=1)] = 16,
    device: Annotated[
        str, option("device", "Device: cpu, cuda, cuda:1, ...; auto uses a GPU if there is one.")
    ] = "auto",
    strict: Annotated[bool, option("strict", "Fail at an unreadable photograph instead of skipping it.")] = False,
    trust: Trust = False,
    as_json: Annotated[bool, option("json", "Print the estimates as JSON.")] = False,
) -> None:
    """Locate photographs in an index without a server: verdict, position and probability of each.

    The estimates are those that a server of the index would answer with. A table shows them unless --out or --json is
    given. Unreadable photographs are named on stderr, counted, and skipped.

    Example: daco-serve locate queries/ --index maps/demo-day --out positions.csv
    """
    if out is not None:
        check_output("--out", out, (".csv", ".json", ".geojson"))
    from daco_index.search.query_set import find_queries
    from daco_serve.api import query_set
    from daco_serve.api.index import Index

    found = find_queries(images)
    opened = Index.open(index, device, trust=trust, rerank=rerank)
    if out is not None:
        query_set.check_form(opened, out)
    start = time.perf_counter()
    located = list(query_set.locate_queries(opened, found.queries, batch_size, strict))
    read = [one for one in located if one.estimate is not None]
    if not read:
        raise DacoError(f"None of the {len(located)} photographs can be read, so nothing was written.")
    kind = None if opened.calibration is None else opened.calibration.kind
    head: dict[str, object] = {
        "index": str(index),
        "generation": opened.generation,
        "calibrated": kind,
        "other_files": found.other_files,
    }
    if out is not None:
        query_set.write_estimates(located, out, head)
    if as_json:
        print(json.dumps(query_set.as_json(located, head), indent=1, ensure_ascii=False))
    elif out is None:
        _print_table(read)
    seconds = time.perf_counter() - start
    skipped = skipped_words(len(located) - len(read), found.other_files)
    counts = Counter(str(one.values()["verdict"]).replace("_", " ") for one in read)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    written = f" Written to {out}." if out is not None else ""
    rate = f"{seconds:.1f} s ({len(read) / seconds:.1f} images/s)"
    print(
        f"{len(read)} photographs{skipped}: {verdicts}; in {rate}.{written}",
        file=sys.stderr if as_json else sys.stdout,
    )
    if kind is None:
        print(
            "Note: this index has no calibration, so the probabilities that the places are right are unknown: fit one"
            " with daco-bench calibrate.",
            file=sys.stderr,
        )


def _print_table(located: "Sequence[LocatedQuery]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = [one.values() for one in located]
    is_local = all(row["latitude"] is None for row in rows) and any(row["x"] is not None for row in rows)
    axes = ("x", "y") if is_local else ("latitude", "longitude")
    table = Table()
    for name in ("photograph", "verdict", "place", *axes, "accurate to", "probability"):
        is_text = name in ("photograph", "verdict", "place")
        table.add_column(name, overflow="fold", justify="left" if is_text else "right")
    for row in rows:
        metres, probability = _number(row["uncertainty_metres"]), _number(row["probability"])
        table.add_row(
            escape(printable(str(row["query"]))),
            str(row["verdict"]).replace("_", " "),
            "-" if row["place"] is None else escape(printable(str(row["place"]))),
            *(number(_number(row[axis]), 2 if is_local else 6) for axis in axes),
            "-" if metres is None else f"{metres:.0f} m",
            "-" if probability is None else f"{100 * probability:.0f} %",
        )
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
