"""`daco-bench recall`, `compare`, `translators` and `ablate`: parse, call, print."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_bench.cli.options import (
    Backbone,
    BenchmarkArguments,
    EncoderName,
    ImageSize,
    Iters,
    Ranks,
    Rerank,
    SaveRoot,
    Seed,
    TableArguments,
    Trainable,
    TrainingArguments,
    rank_list,
)
from daco_core.console import Trust, new_app, option, words
from daco_core.option_groups import with_option_groups
from daco_index.cli.options import DataRoot, Device
from daco_index.cli.options import ImageSize as EncoderImageSize
from daco_index.reranking import CANDIDATES
from daco_training.loop.recipe import PARTS

if TYPE_CHECKING:
    from daco_bench.recall.comparison import Comparison
    from daco_bench.recall.retrieval import Retrieval
    from daco_training.loop.settings import TrainSettings

app = new_app("Measure the recall of an encoder, or compare methods.")


@app.command()
@with_option_groups
def recall(
    *,
    encoder: EncoderName = "default",
    benchmark: BenchmarkArguments,
    ranks: Annotated[
        str | None, option("ranks", "Values of k for R@k.", show_default="1,2,4,8; by distance 1,5,10,20")
    ] = None,
    protocol: Annotated[
        str | None,
        option(
            "protocol",
            "Published protocol: amstertime, eynsham, msls-val, nordland, nordland-10, pitts30k, pitts250k, sped,"
            " st-lucia, svox-night, svox-overcast, svox-rain, svox-snow, svox-sun or tokyo247. NAME is then the folder"
            " that VPR-datasets-downloader wrote.",
        ),
    ] = None,
    truth: Annotated[
        Path | None, option("truth", "CSV file of the right answers, with the columns query and reference.")
    ] = None,
    rerank: Rerank = CANDIDATES,
    small_local: Annotated[bool, option("small_local", "Re-rank with half of the cells.")] = False,
    image_size: EncoderImageSize = None,
    device: Device = "auto",
    trust: Trust = False,
    printed: TableArguments,
) -> None:
    """Measure the recall of an encoder: a->b, b->a and a<->b on a data set, with the published rows if there are any.

    With --database and --queries instead of NAME, the usual protocol of the field: R@1,5,10,20 within 25 m, for
    photographs with positions (@UTM_east@UTM_north@...@.jpg names, a table, or EXIF); or two traversals of a route,
    compared by frame number.

    --protocol evaluates as papers do: with the tolerance, the queries and the references of a public data set, in
    folders as written by VPR-datasets-downloader; the rule is printed with the numbers. --truth reads the right
    answers from a table.

    An encoder with local descriptors is measured twice, without and with re-ranking, with paired tests and with R@20,
    which limits what re-ranking can find.

    Example: daco-bench recall --database images/test/database --queries images/test/queries

    Example: daco-bench recall datasets/tokyo247 --protocol tokyo247 --encoder megaloc --trust
    """
    from daco_bench.recall.comparison import compare_answers
    from daco_bench.recall.encoders import named_engines
    from daco_bench.recall.protocols.chosen import choose_task
    from daco_bench.recall.reranked import reranked_ranks, retrieve_reranked
    from daco_bench.recall.retrieval import DEPTH
    from daco_bench.recall.table import published_rows

    name = benchmark.name
    chosen = choose_task(
        name,
        benchmark.data_root,
        benchmark.database,
        benchmark.queries,
        benchmark.distance,
        benchmark.frames,
        protocol,
        truth,
    )
    task = chosen.task
    for note in chosen.notes:
        typer.echo(note, err=True)
    ((label, engine),) = named_engines([encoder], device, trust, image_size).items()
    ks = rank_list(ranks or task.ranks)
    answers = retrieve_reranked(task, engine, label, max(DEPTH, *ks), rerank, small_local)
    ks = ks if ranks else reranked_ranks(ks, answers, rerank)
    comparison = compare_answers(answers, ks, published_rows("" if protocol else name or "", ks))
    subject = task.title if name is None or protocol else name
    _print(comparison, ks, subject, printed, {"protocol": chosen.protocol} if protocol else {})


@app.command()
@with_option_groups
def compare(
    name: Trainable,
    *,
    methods: Annotated[str, option("methods", "Methods, in this order.")] = "npid,moco,simsiam,simclr,daco",
    training: TrainingArguments,
    save_root: SaveRoot = Path("result"),
    ranks: Ranks = "1,2,4,8",
    rerank: Rerank = CANDIDATES,
    printed: TableArguments,
) -> None:
    """Train all methods with the same budget, and print their recalls and paired tests of the differences.

    Encoders with local descriptors, such as those of the modern recipe, are measured without re-ranking and with it.

    With the published batch sizes, an iteration has 64 views for each method. Finished trainings with these settings
    are reused, and the same command resumes one that was stopped. The table is also written to the save root, as
    Markdown, CSV, JSON and HTML.

    Example: daco-bench compare demo --iters 400 --backbone resnet18 --image-size 128
    """
    from daco_bench.recall.compare import compare_methods

    budget = training.settings(name, save_root, ranks)
    answers = compare_methods(budget, words(methods), rerank)
    _report(answers, budget, rerank, "methods", None, printed)


@app.command()
@with_option_groups
def translators(
    name: Trainable,
    *,
    methods: Annotated[
        str, option("methods", "Translators, in this order; train cut before, with daco-data translate.")
    ] = "fourier,reinhard,fog,night",
    training: TrainingArguments,
    save_root: SaveRoot = Path("result/translators"),
    ranks: Ranks = "1,2,4,8",
    rerank: Rerank = CANDIDATES,
    printed: TableArguments,
) -> None:
    """Train daco with the twins of each translator, with the same budget, and print the recalls.

    The twins of the data set are not changed. The same command resumes after a stop.
    """
    from daco_bench.recall.translators import compare_translators

    budget = training.settings(name, save_root, ranks)
    answers = compare_translators(budget, words(methods), rerank)
    _report(answers, budget, rerank, "translators", None, printed)


@app.command()
@with_option_groups
def ablate(
    name: Trainable,
    *,
    parts: Annotated[str, option("parts", "Parts to leave out, one at a time, in this order.")] = ",".join(PARTS),
    method_name: Annotated[str, option("method_name", "daco, simclr, simsiam, moco or npid.")] = "daco",
    data_root: DataRoot = Path("data"),
    iters: Iters = None,
    backbone: Backbone = None,
    image_size: ImageSize = 256,
    save_root: SaveRoot = Path("result/ablation"),
    seed: Seed = 0,
    ranks: Ranks = "1,2,4,8",
    rerank: Rerank = CANDIDATES,
    printed: TableArguments,
) -> None:
    """Train with the full modern recipe and without each of its parts, and print the recalls.

    Finished trainings with these settings are reused, and the same command resumes one that was stopped.
    """
    from daco_bench.recall.ablation import WHOLE, ablate_recipe

    training = TrainingArguments(
        data_root=data_root,
        recipe="modern",
        iters=iters,
        backbone=backbone,
        image_size=image_size,
        precision="auto",
        seed=seed,
    )
    budget = training.settings(name, save_root, ranks)
    answers = ablate_recipe(budget.but(method_name=method_name, batch_size=None, momentum=None), words(parts), rerank)
    _report(answers, budget, rerank, "ablation", WHOLE, printed)


def _report(
    answers: "Sequence[Retrieval]",
    budget: "TrainSettings",
    candidates: int,
    kind: str,
    best: str | None,
    printed: TableArguments,
) -> None:
    from daco_bench.recall.comparison import compare_answers
    from daco_bench.recall.comparison_files import write_comparison
    from daco_bench.recall.reranked import reranked_ranks
    from daco_bench.recall.table import published_rows

    ks, name = reranked_ranks(budget.ranks, answers, candidates), budget.data_name
    comparison = compare_answers(answers, ks, published_rows(name, ks) if kind == "methods" else (), best)
    command = shlex.join(["daco-bench", *sys.argv[1:]])
    files = write_comparison(comparison, answers, ks, name, command, budget.save_root / f"{name}_{kind}")
    _print(comparison, ks, name, printed)
    typer.echo(f"Written to {', '.join(map(str, files))}.", err=True)


def _print(
    comparison: "Comparison",
    ks: Sequence[int],
    subject: str,
    printed: TableArguments,
    more: Mapping[str, object] | None = None,
) -> None:
    """Prints a comparison; `more` goes into its JSON."""
    from daco_bench.recall import comparison_files, table
    from daco_bench.report import text_table

    if printed.as_json:
        typer.echo(json.dumps(comparison_files.to_json(comparison, subject) | dict(more or {}), indent=2))
    elif printed.as_csv:
        typer.echo(table.to_csv(comparison.rows, ks, subject), nl=False)
    elif printed.as_markdown:
        typer.echo(comparison_files.to_markdown(comparison, ks))
    else:
        for title, (columns, lines) in comparison_files.tables(comparison, ks, subject).items():
            text_table.show(columns, lines, title)
