"""`daco-bench strips`, `tsne`, `curves`, `map` and `failures`: parse, call, write the picture."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_bench.cli.options import BenchmarkArguments
from daco_core.console import PICTURES, Trust, check_output, new_app, option
from daco_core.errors import UsageError
from daco_core.option_groups import with_option_groups
from daco_index.cli.options import Device
from daco_index.reranking import CANDIDATES

if TYPE_CHECKING:
    from daco_bench.recall.retrieval import Retrieval
    from daco_bench.recall.task import Task
    from daco_index.reranking.voting import CellMatch

app = new_app("Draw figures of hits and misses.")

Encoders = Annotated[
    list[str],
    option(
        "encoder",
        "Encoder, may be repeated: default (ships with the package), folder of an encoder, timm:NAME, or"
        " torchhub:REPO:ENTRY; NAME=ENCODER gives it a name.",
    ),
]
Direction = Annotated[str | None, option("direction", "Direction: a->b, b->a or a<->b.", show_default="the first one")]
Seed = Annotated[int, option("seed", "Random seed; the same seed gives the same picture.", min=0)]
Json = Annotated[bool, option("json", "Also print the data of the picture as JSON.")]


@app.command()
@with_option_groups
def strips(
    *,
    benchmark: BenchmarkArguments,
    encoder: Encoders = ["default"],  # noqa: B006  (Typer reads it, nobody changes it)
    direction: Direction = None,
    count: Annotated[int, option("count", "Number of queries.", min=1)] = 8,
    seed: Seed = 0,
    cells: Annotated[
        bool, option("cells", "Re-rank, and mark the cells of query and match that agree with dots of one colour.")
    ] = False,
    rerank: Annotated[int, option("rerank", "With --cells: candidates to rank again.", min=1)] = CANDIDATES,
    out: Annotated[Path, option("out", "Picture to write: .png or .jpg.")] = Path("strips.png"),
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Draw query strips: queries and the first match of each encoder, framed green if right and red if wrong.

    With --cells, encoders need local descriptors, as the one that ships has them.

    Example: daco-bench strips demo --encoder default --encoder imagenet=timm:tf_efficientnet_lite0
    """
    from daco_bench.figures.strips import cell_strips, query_strips
    from daco_core.photographs.contact_sheet import save_picture

    check_output("--out", out, PICTURES, in_new_folder=True)
    task = benchmark.task()
    way = _direction(task, direction)
    if cells:
        sheet = cell_strips(_ask_cells(task, encoder, way, rerank, device, trust), count, seed)
    else:
        sheet = query_strips(_ask(task, encoder, way, 1, device, trust), count, seed)
    save_picture(sheet, out)
    _written(out)


@app.command()
@with_option_groups
def tsne(
    *,
    benchmark: BenchmarkArguments,
    encoder: Encoders = ["default"],  # noqa: B006
    seed: Seed = 0,
    out: Annotated[Path, option("out", "Picture to write: .svg, .png or .pdf.")] = Path("tsne.svg"),
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Draw the descriptors of both domains by t-SNE, each query joined with a photograph of its place.

    Needs the extra plot (openTSNE and matplotlib).

    Example: daco-bench tsne demo --encoder default --encoder imagenet=timm:tf_efficientnet_lite0
    """
    from daco_bench.figures.tsne import draw_planes, require, to_plane
    from daco_bench.recall.encoders import named_engines
    from daco_core.figures import DRAWINGS, drawing, save_figure

    check_output("--out", out, DRAWINGS, in_new_folder=True)
    drawing(), require()  # fails before the long work if they are not installed
    task = benchmark.task()
    way = _direction(task, None)
    planes, answers = [], []
    for label, engine in named_engines(encoder, device, trust).items():
        vectors = task.embed(engine)
        planes.append(to_plane(vectors, seed))
        answers.append(task.rank(vectors, label, way, 1))
    save_figure(draw_planes(planes, answers, *task.directions[way]), out)
    _written(out)


@app.command()
@with_option_groups
def curves(
    *,
    benchmark: BenchmarkArguments,
    encoder: Encoders = ["default"],  # noqa: B006
    last: Annotated[int, option("last", "Largest k of the recall curves.", min=1)] = 25,
    out: Annotated[Path, option("out", "Picture to write: .svg, .png or .pdf.")] = Path("curves.svg"),
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw curves of R@k over k, and of precision over recall.

    Also gives the average precision (AP), and the recall at 100 % precision (R@100P).

    Example: daco-bench curves demo --encoder default --json
    """
    from daco_bench.figures import curves as pictures
    from daco_core.figures import DRAWINGS, drawing, save_figure

    check_output("--out", out, DRAWINGS, in_new_folder=True)
    drawing()
    task = benchmark.task()
    answers = _ask(task, encoder, None, last, device, trust)
    save_figure(pictures.curves(answers, last), out)
    if as_json:
        typer.echo(json.dumps({"benchmark": task.title, "curves": pictures.curves_to_json(answers, last)}, indent=2))
    _written(out)


@app.command("map")
@with_option_groups
def hit_map(
    *,
    benchmark: BenchmarkArguments,
    encoder: Encoders = ["default"],  # noqa: B006
    direction: Direction = None,
    out: Annotated[Path, option("out", "Picture to write: .svg, .png or .pdf.")] = Path("map.svg"),
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw a map of hits and misses: queries in green or red, with lines to the wrong matches.

    All photographs need positions: a table, @UTM_east@UTM_north@...@.jpg names, or EXIF.

    Example: daco-bench map --database images/test/database --queries images/test/queries
    """
    from daco_bench.figures import hit_map as pictures
    from daco_core.figures import DRAWINGS, drawing, save_figure

    check_output("--out", out, DRAWINGS, in_new_folder=True)
    drawing()
    task = benchmark.task()
    way = _direction(task, direction)
    located = pictures.task_locations(task)
    answers = _ask(task, encoder, way, 1, device, trust)
    asked = [task.images[row] for row in task.directions[way][1]]
    save_figure(pictures.hit_map(answers, asked, located), out)
    if as_json:
        typer.echo(json.dumps({"benchmark": task.title, "queries": pictures.map_to_json(answers, located)}, indent=2))
    _written(out)


@app.command()
@with_option_groups
def failures(
    *,
    benchmark: BenchmarkArguments,
    encoder: Encoders = ["default"],  # noqa: B006
    direction: Direction = None,
    count: Annotated[int, option("count", "Number of failures of each encoder.", min=1)] = 8,
    out: Annotated[Path, option("out", "Picture to write: .png or .jpg.")] = Path("failures.png"),
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw the hardest failures: queries with the largest gap between a wrong match and the best right one.

    Example: daco-bench failures demo --count 4
    """
    from daco_bench.figures.failures import failures_sheet, failures_to_json, hardest_failures
    from daco_core.photographs.contact_sheet import save_picture

    check_output("--out", out, PICTURES, in_new_folder=True)
    task = benchmark.task()
    answers = _ask(task, encoder, _direction(task, direction), 1, device, trust)
    found = [failure for one in answers for failure in hardest_failures(one, count)]
    if as_json:
        typer.echo(json.dumps({"benchmark": task.title, "failures": failures_to_json(found)}, indent=2))
    if found:
        save_picture(failures_sheet(found), out)
        _written(out)
    else:
        typer.echo("All queries were answered correctly: there is nothing to show.", err=True)


def _direction(task: "Task", asked: str | None) -> str:
    known = list(task.directions)
    if asked is not None and asked not in known:
        raise UsageError(f"There is no direction {asked!r}: the directions are {', '.join(known)}.")
    return asked or known[0]


def _ask(
    task: "Task", sources: Sequence[str], direction: str | None, depth: int, device: str, trust: bool
) -> "list[Retrieval]":
    """The answers of all encoders, in one direction or in all."""
    from daco_bench.recall.encoders import named_engines

    ways = task.directions if direction is None else (direction,)
    answers = []
    for label, engine in named_engines(sources, device, trust).items():
        vectors = task.embed(engine)
        answers += [task.rank(vectors, label, way, depth) for way in ways]
    return answers


def _ask_cells(
    task: "Task", sources: Sequence[str], direction: str, candidates: int, device: str, trust: bool
) -> "list[tuple[Retrieval, Callable[[int], list[CellMatch]]]]":
    """The re-ranked answers of all encoders, each with a function for the matched cells of a query.

    Raises:
        DacoError: an encoder has no local descriptors.
    """
    from daco_bench.recall.encoders import named_engines
    from daco_bench.recall.reranked import cells_of_first, embed_photographs, open_photograph, rerank

    engines = named_engines(sources, device, trust)
    for label, engine in engines.items():
        if engine.local_grid is None:
            raise UsageError(f"--cells needs local descriptors, and {label} has none.")
    answers: list[tuple[Retrieval, Callable[[int], list[CellMatch]]]] = []
    for label, engine in engines.items():
        embedded = embed_photographs(engine, task.images, partial(open_photograph, size=engine.image_size), label)
        found = rerank(task.rank(embedded.descriptors, label, direction, candidates), task, embedded, candidates)
        answers.append((found, partial(cells_of_first, found, task, embedded)))
    return answers


def _written(out: Path) -> None:
    typer.echo(f"Written to {out}.", err=True)
