"""`daco-bench serve`: parses, calls, prints."""

import json
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option, whole_numbers, words
from daco_core.errors import MissingExtra, UsageError
from daco_index.cli.options import PrecisionName

ENCODER = "default"
PHOTOGRAPHS = 16  # number of photographs that are generated if none are given
PHOTOGRAPHS_TO_RANK = 24  # the same for --reranking, which needs 20 candidates

app = new_app("Measure the server.")


@app.command()
def serve(
    index: Annotated[Path | None, option("index", "Index to serve.", show_default="built from the photographs")] = None,
    encoder: Annotated[str, option("encoder", "Without --index: encoder to build one with.")] = ENCODER,
    photographs: Annotated[
        Path | None,
        option("photographs", "Folder of JPEGs to send.", show_default="synthetic ones, 1 to 12 megapixels"),
    ] = None,
    concurrency: Annotated[
        str, option("concurrency", "Numbers of concurrent clients; one run for each.")
    ] = "1,4,16,64",
    seconds: Annotated[float, option("seconds", "Length of each run.", min=1)] = 10.0,
    rounds: Annotated[int, option("rounds", "Rounds; the medians are printed.", min=1)] = 3,
    servers: Annotated[
        str, option("servers", "Servers, in this order; litserve needs daco-serve\\[bench].")
    ] = "daco-serve,fastapi,litserve",
    workers: Annotated[int, option("workers", "Workers of daco-serve.", min=1)] = 1,
    precision: Annotated[PrecisionName, option("precision", "Precision of daco-serve's queries.")] = PrecisionName.auto,
    soak: Annotated[
        float | None,
        option("soak", "Only run daco-serve, for this many seconds, and report the growth of its memory.", min=10),
    ] = None,
    reranking: Annotated[
        bool,
        option(
            "reranking",
            "Only run daco-serve, alternately with and without re-ranking of 20 candidates, and report the cost.",
        ),
    ] = False,
    as_json: Annotated[bool, option("json", "Print JSON.")] = False,
) -> None:
    """Compare requests per second, latencies, errors and memory of the server with two others and a bare loop.

    The others serve the same index with the same encoder in eager PyTorch: a plain FastAPI server, and LitServe with
    its batching. The floor is the bare loop: decode, embed, search. Each server is a separate process, and so is the
    load generator. Prints Markdown tables, or JSON. Needs daco-serve\\[bench].

    All take turns, so that other work on the machine affects them alike.

    Example: daco-bench serve --concurrency 1,16 --seconds 10
    """
    _check_extra()
    from daco_bench.speed.serving import reranking as reranking_cost
    from daco_bench.speed.serving.compare import check_servers, compare
    from daco_bench.speed.serving.compare import soak as run_soak
    from daco_bench.speed.serving.report import to_json, to_markdown
    from daco_bench.speed.serving.scenes import choose_photographs, make_photographs

    clients = whole_numbers(concurrency, "--concurrency")
    if not clients or min(clients) < 1:
        raise UsageError("--concurrency needs whole numbers from 1, such as 1,4,16,64.")
    check_servers(words(servers))
    if reranking and soak is not None:
        raise UsageError("--reranking and --soak are two measurements: leave one out.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left behind
    with tempfile.TemporaryDirectory(prefix="daco-bench-") as folder:
        made = Path(folder) / "photographs"
        count = PHOTOGRAPHS_TO_RANK if reranking else PHOTOGRAPHS
        files = make_photographs(made, count) if photographs is None else choose_photographs(photographs)
        if index is None:
            index = Path(folder) / "index"
            _build(photographs or made, encoder, index)
        if reranking:
            costs = reranking_cost.measure(index, files, clients, seconds, rounds, workers, precision.value)
            shown = reranking_cost.to_json(costs)
            typer.echo(json.dumps(shown, indent=2) if as_json else reranking_cost.to_markdown(costs))
            return
        comparison = soaked = None
        if soak is None:
            comparison = compare(index, files, words(servers), clients, seconds, rounds, workers, precision.value)
        else:
            soaked = run_soak(index, files, max(clients), soak, workers, precision.value)
        if as_json:
            typer.echo(json.dumps(to_json(comparison, soaked, files), indent=2))
        else:
            typer.echo(to_markdown(comparison, soaked, files))


def _build(photographs: Path, encoder: str, index: Path) -> None:
    from daco_index.build import build_index

    build_index(str(photographs), encoder, index)


def _check_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("aiohttp", "psutil") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"This needs {' and '.join(missing)}: pip install 'daco-serve[bench]'")


@app.command()
def footprint(
    install: Annotated[
        list[str] | None,
        option(
            "install",
            "Extras to install into an empty environment and measure there, such as cpu or cpu,demo; once for each.",
            show_default="this environment is measured",
        ),
    ] = None,
    rounds: Annotated[int, option("rounds", "Starts of the server; the median is printed.", min=1)] = 3,
    as_json: Annotated[bool, option("json", "Print JSON instead of a Markdown table.")] = False,
) -> None:
    """Measure an installation: download, disk, start and memory of a server on a CPU, import of the client.

    Example: daco-bench footprint --install cpu --install cpu,demo --install train
    """
    from dataclasses import asdict

    from daco_bench.report.text_table import to_markdown
    from daco_bench.speed.footprint import footprints

    measured = footprints(install, rounds)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in measured], indent=2))
        return
    columns = ("extras", "download, MB", "site-packages, MB", "ready, s", "server, MiB", "import Client, s")
    lines = [
        [
            "" if cell is None else f"{cell:g}" if isinstance(cell, float | int) else cell
            for cell in asdict(one).values()
        ]
        for one in measured
    ]
    typer.echo(to_markdown(columns, lines, words=1))
