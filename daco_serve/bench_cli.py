"""`daco-bench`: parses, calls, prints."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_serve import bench_serve_cli, bench_store_cli, bench_train_cli
from index.options import Source, SplitName, SplitOption
from training.cli import whole_numbers
from training.console import Trust, new_app, option, run
from training.errors import DacoError

if TYPE_CHECKING:
    from daco_serve.benchmark.table import RecallRow
    from daco_serve.calibration import Calibration
    from training.settings import TrainSettings

app = new_app("Measure: recall, methods side by side, and how far answers can be trusted.")

app.add_typer(bench_serve_cli.app)
app.add_typer(bench_store_cli.app)
app.add_typer(bench_train_cli.app)

DataRoot = Annotated[Path, option("data_root", "Folder that holds the data sets.")]
Ranks = Annotated[str, option("ranks", "The k of the recalls R@k.")]
Json = Annotated[bool, option("json", "Print JSON: recalls and their 95 % intervals in percent.")]
Csv = Annotated[bool, option("csv", "Print CSV, with the columns of the published table.")]
Markdown = Annotated[bool, option("markdown", "Print a Markdown table.")]

Trainable = Annotated[str, typer.Argument(help="Data set below the data root, with validation photographs.")]
RecipeName = Annotated[str, option("recipe", "published, or modern: ours. It sets what is not asked for here.")]
Iters = Annotated[int | None, option("iters", "Iterations for each.", show_default="40000; modern 400")]
Backbone = Annotated[
    str | None, option("backbone", "Any timm model by name.", show_default="resnet50; modern tf_efficientnet_lite0")
]
Pooling = Annotated[str | None, option("pooling", "avg, gem or grid.", show_default="avg; modern grid")]
ImageSize = Annotated[int, option("image_size", "Pixels of a view, and of a photograph's shorter side.")]
Pretrained = Annotated[
    str | None,
    option("pretrained", "A file of weights, imagenet, or none.", show_default="none; modern imagenet"),
]
LearningRate = Annotated[float, option("lr", "Learning rate.")]
Precision = Annotated[str, option("precision", "fp32, bf16, fp16, or auto: bf16 where it is faster.")]
SaveRoot = Annotated[Path, option("save_root", "Folder for encoders, results and logs.")]
Seed = Annotated[int, option("seed", "The same seed gives the same runs.", min=0)]


@app.callback()
def _group() -> None:
    """Measure: recall, methods side by side, and how far answers can be trusted."""


@app.command()
def recall(
    encoder: Annotated[
        str, option("encoder", "default (ours), folder of a saved encoder, timm:NAME, or torchhub:REPO:ENTRY.")
    ] = "default",
    name: Annotated[str | None, typer.Argument(help="Data set below the data root, with validation pairs.")] = None,
    data_root: DataRoot = Path("data"),
    ranks: Ranks = "1,2,4,8",
    database: Annotated[Path | None, option("database", "Instead of NAME: folder of reference frames.")] = None,
    queries: Annotated[Path | None, option("queries", "Folder of query frames of the same route.")] = None,
    frames: Annotated[int, option("frames", "A match this many frames off still counts as right.", min=0)] = 3,
    device: Annotated[str, option("device", "auto, cpu, cuda or cuda:N.")] = "auto",
    trust: Trust = False,
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
) -> None:
    """Recall of one encoder: a->b, b->a and a<->b on a data set, the published rows beside it where there are any.

    With --database and --queries instead of NAME: recall of one traverse of a route in another, by frame number.
    """
    from daco_serve.benchmark.recall import sequence_recall, validation_recall
    from daco_serve.benchmark.table import published_rows
    from training.datasets.layout import DataSet
    from training.devices import pick_device
    from training.encoder_source import load_encoder

    ks = _ranks(ranks)
    model = load_encoder(encoder, trust).to(pick_device(device))
    label = str(model.config.training.get("method_name", encoder))
    if name is not None and database is None and queries is None:
        rows = [*validation_recall(model, DataSet(data_root, name), ks, label), *published_rows(name, ks)]
    elif name is None and database is not None and queries is not None:
        rows = sequence_recall(model, database, queries, frames, ks, label)
        name = f"{queries} in {database}, within {frames} frames"
    else:
        raise DacoError("Name a data set, or give both --database and --queries.")
    _print(rows, ks, name, as_json, as_csv, as_markdown)


@app.command()
def compare(
    name: Trainable,
    methods: Annotated[str, option("methods", "Which methods, in this order.")] = "npid,moco,simsiam,simclr,daco",
    data_root: DataRoot = Path("data"),
    recipe: RecipeName = "published",
    iters: Iters = None,
    backbone: Backbone = None,
    pooling: Pooling = None,
    image_size: ImageSize = 256,
    pretrained: Pretrained = None,
    lr: LearningRate = 1e-3,
    precision: Precision = "fp32",
    save_root: SaveRoot = Path("result"),
    seed: Seed = 0,
    ranks: Ranks = "1,2,4,8",
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
) -> None:
    """Train the methods with the same budget and print the published table.

    With the published batch sizes, an iteration is 64 views for each method. What is trained already under these
    settings is taken as it is; stopped, the same command goes on.
    """
    from daco_serve.benchmark.compare import compare_methods
    from daco_serve.benchmark.table import published_rows

    ks = _ranks(ranks)
    budget = _budget(
        recipe, data_root, name, iters, backbone, pooling, image_size, pretrained, lr, precision, save_root, seed, ks
    )
    rows = [*compare_methods(budget, _words(methods)), *published_rows(name, ks)]
    _print(rows, ks, name, as_json, as_csv, as_markdown)


@app.command()
def translators(
    name: Trainable,
    methods: Annotated[
        str, option("methods", "Which translators, in this order; cut is trained before, with daco-data translate.")
    ] = "fourier,reinhard,fog,night",
    data_root: DataRoot = Path("data"),
    recipe: RecipeName = "published",
    iters: Iters = None,
    backbone: Backbone = None,
    pooling: Pooling = None,
    image_size: ImageSize = 256,
    pretrained: Pretrained = None,
    lr: LearningRate = 1e-3,
    precision: Precision = "fp32",
    save_root: SaveRoot = Path("result/translators"),
    seed: Seed = 0,
    ranks: Ranks = "1,2,4,8",
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
) -> None:
    """Train daco with the twins of each translator, with the same budget, and print the recalls.

    The data set's own twins are left as they are. Stopped, the same command goes on.
    """
    from daco_serve.benchmark.translators import compare_translators

    ks = _ranks(ranks)
    budget = _budget(
        recipe, data_root, name, iters, backbone, pooling, image_size, pretrained, lr, precision, save_root, seed, ks
    )
    _print(compare_translators(budget, _words(methods)), ks, name, as_json, as_csv, as_markdown)


@app.command()
def ablate(
    name: Trainable,
    parts: Annotated[
        str, option("parts", "Which parts to try without, in this order.")
    ] = "grid,whitening,views,direct,frozen,schedule",
    method_name: Annotated[str, option("method_name", "daco, simclr, simsiam, moco or npid.")] = "daco",
    data_root: DataRoot = Path("data"),
    iters: Iters = None,
    backbone: Backbone = None,
    image_size: ImageSize = 256,
    save_root: SaveRoot = Path("result/ablation"),
    seed: Seed = 0,
    ranks: Ranks = "1,2,4,8",
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
) -> None:
    """Train with the modern recipe whole, and without each of its parts, and print the recalls.

    What is trained already under these settings is taken as it is; stopped, the same command goes on.
    """
    from daco_serve.benchmark.ablation import ablate_recipe

    ks = _ranks(ranks)
    budget = _budget(
        "modern", data_root, name, iters, backbone, None, image_size, None, 1e-3, "auto", save_root, seed, ks
    )
    rows = ablate_recipe(budget.but(method_name=method_name, batch_size=None, momentum=None), _words(parts))
    _print(rows, ks, name, as_json, as_csv, as_markdown)


@app.command()
def calibrate(
    queries: Annotated[
        str, typer.Argument(help="Query photographs, not trained on: NAME/domain of a data set, or a folder.")
    ],
    index: Annotated[Path, option("index", "Folder of the index that is asked.")],
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    elsewhere: Annotated[
        float, option("elsewhere", "Share of queries expected from places that are not on the map.", min=0, max=0.9)
    ] = 0.2,
    out: Annotated[Path | None, option("out", "Instead of the index: file to write.")] = None,
    device: Annotated[str, option("device", "auto, cpu, cuda or cuda:N.")] = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Fit how far answers can be trusted: the probability of being right within 25 m, and the radius.

    The queries need positions, or the place names of the map. The result lies in the index, whose generations it does
    not change; a running server takes it up. It holds for the index's encoder: with another one, run this again.

    Example: daco-bench calibrate demo/night --split val --index maps/demo-day
    """
    from daco_serve.benchmark.calibrate import calibrate as fit_calibration
    from index.generations import CALIBRATION_FILE

    calibration = fit_calibration(index, queries, data_root, split.value, elsewhere, device, trust)
    file = out or index / CALIBRATION_FILE
    calibration.save(file)
    if as_json:
        typer.echo(calibration.model_dump_json(indent=2))
    else:
        _print_calibration(calibration)
        typer.echo(f"Written to {file}.")


def _print_calibration(calibration: "Calibration") -> None:
    from rich.console import Console
    from rich.table import Table

    held_out = calibration.held_out
    assert held_out is not None  # a fit that is judged has one
    table = Table(title="Said and observed, on queries that the fit had not seen", title_justify="left")
    for name in ("probability said", "queries", "said on average", "observed"):
        table.add_column(name, justify="right")
    for point in held_out.curve:
        table.add_row(
            f"{point.least:.1f} to {point.most:.1f}",
            f"{100 * point.share:.0f} %",
            f"{point.said:.2f}",
            f"{point.observed:.2f}",
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    typer.echo(
        f"{calibration.count} queries, {100 * calibration.recall:.0f} % of them located right. Expected calibration"
        f" error {held_out.error:.3f}; Brier score {held_out.brier:.3f}, of always saying the mean"
        f" {held_out.brier_constant:.3f}.\n"
        f"'Not on this map' is said to {100 * held_out.refused_elsewhere:.0f} % of queries from elsewhere and to"
        f" {100 * held_out.refused_on_map:.0f} % of those of the map."
    )
    if held_out.within_radius is not None:
        typer.echo(f"The radius holds the truth in {100 * held_out.within_radius:.0f} % of cases; 68 % are meant.")


@app.command("index")
def index_sizes(
    sizes: Annotated[str, typer.Option(help="Descriptors in the index, such as 1e4,1e5,1e6.")] = "1e4,1e5",
    dimension: Annotated[int, typer.Option(min=8, help="Numbers of a descriptor.")] = 256,
    goal: Annotated[
        float,
        typer.Option("--recall", min=0.0, max=1.0, help="Of the exact ten best, that each engine is set to."),
    ] = 0.98,
    engines: Annotated[
        str, typer.Option(help="Which others to compare with; needs daco-serve[bench]. Empty for FAISS alone.")
    ] = "usearch,hnswlib",
    work: Annotated[
        Path | None, typer.Option(help="Folder for the indexes; what is there is not built again.", show_default="none")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .svg, .png or .pdf; needs daco-serve[plot].")] = None,
    like: Annotated[
        Path | None, typer.Option(help="Only print how descriptors of this index compare with the synthetic ones.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search side by side: ours as served, bare FAISS, usearch and hnswlib, on synthetic descriptors of each size.

    The descriptors have the statistics of real ones, the queries are of another condition. Every engine is set to the
    least effort that reaches the recall on half of the queries, and measured on the other half, all in turn.

    Example: daco-bench index --sizes 1e4,1e5,1e6 --work sizes --plot sizes.svg
    """
    from daco_serve.benchmark.search import report
    from daco_serve.benchmark.search.plot import plot_rows
    from daco_serve.benchmark.search.run import run_sizes, statistics
    from index.curve_plot import drawing

    if like is not None:
        typer.echo(json.dumps(statistics(dimension, seed, like), indent=2))
        return
    if plot is not None:
        drawing()  # refused before anything is measured, if it is not installed
    counts = _counts(sizes)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if work is None else work
        rows = list(run_sizes(counts, dimension, goal, _words(engines), folder, _note, seed))
    if plot is not None:
        plot_rows(rows, plot)
    if as_json:
        typer.echo(json.dumps(report.to_json(rows, dimension, goal, statistics(dimension, seed)), indent=2))
    else:
        typer.echo(report.to_markdown(rows))


@app.command("embed")
def embedding(
    source: Source,
    encoder: Annotated[str, option("encoder", "Folder of a saved encoder, timm:NAME, or torchhub:REPO:ENTRY.")],
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    limit: Annotated[int, typer.Option(min=1, help="Most photographs of a round.")] = 512,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the medians are taken.")] = 3,
    batch_size: Annotated[int, option("batch_size", "Photographs that the encoder takes at once.", min=1)] = 16,
    device: Annotated[str, option("device", "auto, cpu, cuda or cuda:N.")] = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """How near daco-index build comes to the speed of its bare engine, in one run.

    Example: daco-bench embed demo/day --encoder timm:tf_efficientnet_lite0
    """
    from dataclasses import asdict

    from daco_serve.benchmark.embedding import embedding_speed
    from index.engines.create import create_engine
    from index.references import find_references
    from training.devices import pick_device
    from training.encoder_source import load_encoder

    paths = [reference.path for reference in find_references(source, data_root, split.value)][:limit]
    engine = create_engine(load_encoder(encoder, trust), device, goal="throughput")
    speed = embedding_speed(engine, paths, batch_size, rounds, pick_device(device).type)
    if as_json:
        typer.echo(json.dumps({**asdict(speed), "possible": round(speed.possible, 2)}, indent=2))
        return
    typer.echo(
        f"{speed.engine}, {speed.images} photographs, median of {speed.rounds} rounds, images/s:\n"
        f"  bare engine            {speed.bare:8.1f}\n"
        f"  reading and resizing   {speed.decoding:8.1f}\n"
        f"  daco-index build       {speed.whole:8.1f}   {100 * speed.whole / speed.bare:.0f} % of the bare engine\n"
        f"  at most, here          {speed.possible:8.1f}   {100 * speed.whole / speed.possible:.0f} % of it reached\n"
        f"  the engine computed {100 * speed.busy:.0f} % of that time"
    )


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _counts(text: str) -> list[int]:
    try:
        counts = sorted({int(float(word)) for word in _words(text)})
    except (ValueError, OverflowError) as error:
        raise DacoError(f"--sizes takes numbers such as 1e4,1e5, not {text!r}.") from error
    if not counts or counts[0] < 1000:
        raise DacoError("--sizes takes numbers from 1000, such as 1e4,1e5.")
    return counts


def _budget(
    recipe: str,
    data_root: Path,
    name: str,
    iters: int | None,
    backbone: str | None,
    pooling: str | None,
    image_size: int,
    pretrained: str | None,
    lr: float,
    precision: str,
    save_root: Path,
    seed: int,
    ks: tuple[int, ...],
) -> "TrainSettings":
    from training.settings import TrainSettings

    return TrainSettings(
        recipe=recipe,
        data_root=data_root,
        data_name=name,
        iters=iters,  # type: ignore[arg-type]
        ranks=ks,
        save_root=save_root,
        backbone=backbone,  # type: ignore[arg-type]
        pooling=pooling,  # type: ignore[arg-type]
        image_size=image_size,
        pretrained=pretrained,  # type: ignore[arg-type]
        lr=lr,
        precision=precision,
        seed=seed,
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _ranks(text: str) -> tuple[int, ...]:
    ks = tuple(sorted(set(whole_numbers(text, "--ranks"))))
    if not ks or ks[0] < 1:
        raise DacoError("--ranks takes whole numbers from 1, such as 1,2,4,8.")
    return ks


def _print(
    rows: "Sequence[RecallRow]", ks: Sequence[int], subject: str, as_json: bool, as_csv: bool, as_markdown: bool
) -> None:
    from daco_serve.benchmark import table

    if as_json:
        typer.echo(json.dumps({"dataset": subject, "rows": table.to_json(rows)}, indent=2))
    elif as_csv:
        typer.echo(table.to_csv(rows, ks, subject), nl=False)
    elif as_markdown:
        typer.echo(table.to_markdown(rows, ks))
    else:
        table.show(rows, ks, f"Recall on {subject}, percent (95 % interval)")


def main() -> None:
    run(app)
