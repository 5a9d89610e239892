"""`daco-index search`: parses, calls, prints; no logic."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from daco_core.console import Trust, check_output, new_app, number, option
from daco_core.errors import DacoError
from daco_core.index_argument import IndexCommand
from daco_core.option_groups import with_option_groups
from daco_core.photographs.formats import skipped_words
from daco_core.untrusted_text import printable
from daco_index.cli.options import BatchSize, Device, GpuOption, GpuUse, Index, Json, Strict, wide_console
from daco_index.reranking import CANDIDATES

if TYPE_CHECKING:
    from daco_index.embedding.engines.engine import Engine
    from daco_index.search.bundle import Bundle, SearchMatch
    from daco_index.search.query_set import Query, QuerySet

app = new_app("Look up photographs.")


@dataclass(frozen=True)
class SearchArguments:
    """How photographs are looked up, and where the matches go: an option for each field."""

    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Number of matches for each photograph.")] = 5
    out: Annotated[
        Path | None, typer.Option(help="Write the matches of all photographs to this .csv or .json file.")
    ] = None
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Write a text file with a line QUERY REFERENCE for each match, as hloc and COLMAP read it."
            " The names are paths below the folders that were given."
        ),
    ] = None
    batch_size: BatchSize = 16
    device: Device = "auto"
    gpu: GpuOption = GpuUse.auto
    rerank: Annotated[int, option("rerank", "Number of candidates to re-rank by local descriptors.", min=0)] = (
        CANDIDATES
    )
    strict: Strict = False
    trust: Trust = False
    as_json: Json = False


@app.command(cls=IndexCommand)
@with_option_groups
def search(
    index: Index,
    images: Annotated[
        list[Path], typer.Argument(help="The photographs to look up: files, or folders including their subfolders.")
    ],
    *,
    asked: SearchArguments,
) -> None:
    """Find the reference photographs most similar to a photograph, or to each of a query set, and their positions.

    For several photographs, the matches are written to files or printed as JSON; without either, a table shows the best
    match of each. Unreadable photographs are named on stderr, counted, and skipped.

    Example: daco-index search night.jpg --index maps/demo-day -k 5

    Example: daco-index search queries/ --index maps/demo-day -k 20 --out predictions.csv --pairs pairs.txt
    """
    from daco_core.photographs.images import open_rgb
    from daco_index.embedding.engines.query_engine import query_engine
    from daco_index.search.bundle import Bundle
    from daco_index.search.query_set import find_queries

    if asked.out is not None:
        check_output("--out", asked.out, (".csv", ".json"))
    if asked.pairs is not None:
        check_output("--pairs", asked.pairs)
    found = find_queries(images)
    queries = found.queries
    is_single = len(queries) == 1 and images[0].is_file() and asked.out is None and asked.pairs is None
    if is_single:
        open_rgb(images[0])  # an unreadable one fails before anything that takes seconds
    bundle = Bundle.open(index, asked.trust, asked.gpu.value)
    if not is_single:
        _search_set(index, bundle, found, asked)
        return
    engine = query_engine(bundle, asked.device)
    prediction = _one(bundle, engine, queries, asked.k, asked.rerank)
    if asked.as_json:
        from daco_index.search.prediction_files import match_values

        answer = {
            "image": str(images[0]),
            "generation": bundle.generation,
            "matches": [match_values(match) for match in prediction],
        }
        print(json.dumps(answer, indent=2))
    else:
        wide_console().print(_match_table(prediction, _axes(bundle)))


def _one(bundle: "Bundle", engine: "Engine", queries: "list[Query]", k: int, rerank: int) -> "list[SearchMatch]":
    from daco_index.search.query_set import predict

    (prediction,) = predict(bundle, engine, queries, k, rerank, strict=True, progress=False)
    return prediction.matches


def _search_set(index: Path, bundle: "Bundle", found: "QuerySet", asked: SearchArguments) -> None:
    from daco_index.embedding.engines.query_engine import query_engine
    from daco_index.search.prediction_files import prediction_files
    from daco_index.search.query_set import predict
    from daco_index.search.source_names import SourceNames

    out, pairs = asked.out, asked.pairs
    engine, queries = query_engine(bundle, asked.device).for_many(), found.queries
    references = [entry.path for entry in bundle.catalog.all()] if pairs else []
    names = SourceNames(bundle.manifest.sources)
    head: dict[str, object] = {
        "index": str(index),
        "generation": bundle.generation,
        "other_files": found.other_files,
    }
    axes = _axes(bundle)
    shown = None if asked.as_json or out or pairs else _best_table(axes)
    start = time.perf_counter()
    unreadable = 0
    stdout = sys.stdout if asked.as_json else None
    with prediction_files(queries, references, names, head, out, pairs, stdout) as files:
        for prediction in predict(bundle, engine, queries, asked.k, asked.rerank, asked.batch_size, asked.strict):
            files.add(prediction)
            unreadable += prediction.unreadable is not None
            if shown is not None and prediction.matches:
                shown.add_row(escape(printable(str(prediction.query.path))), *_cells(prediction.matches[0], axes)[1:])
        if unreadable == len(queries):
            raise DacoError(f"None of the {len(queries)} photographs can be read, so nothing was written.")
    if shown is not None:
        wide_console().print(shown)
    seconds = time.perf_counter() - start
    skipped = skipped_words(unreadable, found.other_files)
    written = f" Written to {' and '.join(str(file) for file in (out, pairs) if file)}." if out or pairs else ""
    typer.echo(
        f"{len(queries) - unreadable} photographs looked up{skipped}, in {seconds:.1f} s"
        f" ({len(queries) / seconds:.1f} images/s).{written}",
        err=asked.as_json,
    )


def _axes(bundle: "Bundle") -> tuple[str, ...]:
    """The columns with the position: metres if the index has local positions only, else degrees."""
    return ("x", "y", "z") if bundle.manifest.only_local else ("latitude", "longitude")


def _columns(axes: tuple[str, ...]) -> tuple[str, ...]:
    return ("place", "similarity", "votes", *axes, "heading", "file")


def _match_table(matches: "list[SearchMatch]", axes: tuple[str, ...]) -> Table:
    table = Table()
    for name in ("rank", *_columns(axes)):
        table.add_column(name, overflow="fold", justify="left" if name in ("place", "file") else "right")
    for match in matches:
        table.add_row(*_cells(match, axes))
    return table


def _best_table(axes: tuple[str, ...]) -> Table:
    table = Table(title="The best match of each photograph", title_justify="left")
    for name in ("photograph", *_columns(axes)):
        is_text = name in ("photograph", "place", "file")
        table.add_column(name, overflow="fold", justify="left" if is_text else "right")
    return table


def _cells(match: "SearchMatch", axes: tuple[str, ...]) -> list[str]:
    entry = match.entry
    return [
        str(match.rank),
        escape(printable(entry.place)),
        f"{match.similarity:.4f}",
        number(match.votes, 0),
        *(number(getattr(entry, axis), 2 if "x" in axes else 6) for axis in axes),
        number(entry.heading, 0),
        escape(printable(entry.path)),
    ]
