"""`daco-bench index`, `embed` and `store`: parse, call, print."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from daco_bench.cli.options import EncoderName, Json, Seed, size_list
from daco_core.console import Trust, check_output, new_app, option, words
from daco_index.cli.options import DataRoot, Device, GpuOption, GpuUse, Source, SplitName, SplitOption

app = new_app("Measure the index: search, building, and vector stores.")


@app.command("index")
def index_sizes(
    sizes: Annotated[str, typer.Option(help="Descriptors in the index, such as 1e4,1e5,1e6.")] = "1e4,1e5",
    dimension: Annotated[int, typer.Option(min=8, help="Dimension of the descriptors.")] = 256,
    goal: Annotated[
        float,
        typer.Option("--recall", min=0.0, max=1.0, help="Recall of the exact ten best to which each engine is tuned."),
    ] = 0.98,
    engines: Annotated[
        str, typer.Option(help="Engines to compare with; need daco-serve\\[bench]. Empty for FAISS alone.")
    ] = "usearch,hnswlib",
    gpu: GpuOption = GpuUse.auto,
    work: Annotated[
        Path | None, typer.Option(help="Folder for the indexes; existing ones are reused.", show_default="none")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a figure to this .svg, .png or .pdf file; needs daco-serve\\[plot].")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Only print how the synthetic descriptors compare with those of this index.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare the search as served with bare FAISS, usearch and hnswlib, on synthetic descriptors of each size.

    The descriptors have the statistics of real ones; the queries simulate another condition. Each engine is tuned to
    the recall on half of the queries, and measured on the other half, in turns. If the memory does not hold all
    engines, only daco-serve's own index is measured.

    Example: daco-bench index --sizes 1e4,1e5,1e6 --work sizes --plot sizes.svg
    """
    from daco_bench.speed.search import report
    from daco_bench.speed.search.plot import plot_rows
    from daco_bench.speed.search.run import run_sizes, statistics
    from daco_core.figures import DRAWINGS, drawing
    from daco_index.search.stores.gpu import wanted

    if like is not None:
        typer.echo(json.dumps(statistics(dimension, seed, like), indent=2))
        return
    if plot is not None:
        check_output("--plot", plot, DRAWINGS, in_new_folder=True)
        drawing()  # fails before anything is measured if it is not installed
    counts = size_list(sizes)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if work is None else work
        rows = []
        for row in run_sizes(counts, dimension, goal, words(engines), folder, _note, seed, wanted(gpu.value)):
            rows.append(row)
            _note(report.to_line(row))  # printed at once, for users who stop before the table
    if plot is not None:
        plot_rows(rows, plot)
    if as_json:
        typer.echo(json.dumps(report.to_json(rows, dimension, goal, statistics(dimension, seed)), indent=2))
    else:
        typer.echo(report.to_markdown(rows))


@app.command("embed")
def embedding(
    source: Source,
    encoder: EncoderName = "default",
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of photographs in a round.")] = 512,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians are printed.")] = 3,
    batch_size: Annotated[int, option("batch_size", "Photographs that the encoder embeds at once.", min=1)] = 16,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare the speed of daco-index build with that of its bare engine.

    Example: daco-bench embed demo/day
    """
    from dataclasses import asdict

    from daco_bench.speed.embedding import embedding_speed
    from daco_index.embedding.devices import pick_device
    from daco_index.embedding.encoders import find_encoder
    from daco_index.embedding.engines.create import create_engine
    from daco_index.references.find import find_references

    paths = [reference.path for reference in find_references(source, data_root, split.value)][:limit]
    engine = create_engine(find_encoder(encoder, trust), device, goal="throughput")
    speed = embedding_speed(engine, paths, batch_size, rounds, pick_device(device))
    if as_json:
        typer.echo(json.dumps({**asdict(speed), "possible": round(speed.possible, 2)}, indent=2))
        return
    typer.echo(
        f"{speed.engine}, {speed.images} photographs, median of {speed.rounds} rounds, images/s:\n"
        f"  bare engine            {speed.bare:8.1f}\n"
        f"  reading and resizing   {speed.decoding:8.1f}\n"
        f"  daco-index build       {speed.whole:8.1f}   {100 * speed.whole / speed.bare:.0f} % of the bare engine\n"
        f"  possible maximum       {speed.possible:8.1f}   {100 * speed.whole / speed.possible:.0f} % of it reached\n"
        f"  the engine computed {100 * speed.busy:.0f} % of that time"
    )


@app.command()
def store(
    address: Annotated[str, typer.Argument(help="Address of a Milvus server: milvus://HOST:19530/NAME.")],
    sizes: Annotated[str, option("sizes", "Descriptors in the index, such as 1e4,1e5.")] = "1e4,1e5",
    dimension: Annotated[int, option("dimension", "Dimension of the descriptors.", min=8)] = 256,
    as_json: Json = False,
) -> None:
    """Compare Milvus with FAISS on synthetic descriptors: writing, searching, and updates, at each size.

    The collections that it creates are dropped at the end.

    Example: daco-bench store milvus://127.0.0.1:19530/bench --sizes 1e4,1e5,1e6
    """
    from daco_bench.speed.store_scale import run_stores, to_json, to_markdown
    from daco_index.search.stores.address import MilvusAddress

    rows = list(run_stores(MilvusAddress.parse(address), size_list(sizes), dimension, _note))
    typer.echo(to_json(rows) if as_json else to_markdown(rows))


def _note(text: str) -> None:
    typer.echo(text, err=True)
