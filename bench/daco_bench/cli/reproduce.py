"""`daco-bench reproduce`: parses, makes the data, trains, reports."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option, words

app = new_app("The published comparison of methods, made again.")


class Device(StrEnum):
    """What trains."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command()
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="Data set below --data-root with pairs; without it a city is rendered.")
    ] = None,
    data_root: Annotated[Path, option("data_root", "Folder that holds the data sets.")] = Path("data"),
    out: Annotated[Path, option("out", "Folder for data, runs, outcomes and the report.")] = Path(
        "result/reproduction"
    ),
    methods: Annotated[str, option("methods", "Which methods, in this order.")] = "npid,moco,simsiam,simclr,daco",
    twins: Annotated[
        str, option("twins", "Twins of daco; the first are its own, others stand beside: night, fourier, rendered, ...")
    ] = "night,fourier,rendered",
    also: Annotated[
        str,
        option(
            "also",
            "What else to train: masked, npid and moco without older copies of an image as its negatives; ours, every"
            " method with our recipe. Empty for neither.",
        ),
    ] = "masked,ours",
    seeds: Annotated[str, option("seeds", "Each method is trained once with each of these seeds.")] = "0,1,2",
    backbone: Annotated[str, option("backbone", "Published: resnet50.")] = "resnet18",
    image_size: Annotated[int, option("image_size", "Pixels of a view; published: 256.", min=32)] = 96,
    iters: Annotated[int, option("iters", "Iterations of each run; published: 40000.", min=1)] = 10000,
    our_iters: Annotated[int, option("our_iters", "Iterations with our recipe.", min=1)] = 200,
    val_every: Annotated[int, option("val_every", "Iterations between two points of a curve.", min=1)] = 500,
    precision: Annotated[str, option("precision", "fp32 (published), bf16, fp16 or auto.")] = "fp32",
    device: Annotated[Device, option("device", "What trains.")] = Device.auto,
    jobs: Annotated[int, option("jobs", "Runs side by side, such as several on one GPU.", min=1)] = 1,
    places: Annotated[int, option("places", "Of the rendered city; a quarter of them validates.", min=8)] = 400,
    size: Annotated[int, option("size", "Of the rendered photographs: shorter side in pixels.", min=64)] = 128,
    beside: Annotated[str, option("beside", "Published rows to set beside: tokyo, cityscapes or synthia.")] = "tokyo",
    report_only: Annotated[bool, option("report_only", "Train nothing; report the outcomes that are there.")] = False,
    train_only: Annotated[bool, option("train_only", "Train, and leave the report to another call.")] = False,
) -> None:
    """Reproduce the published comparison, scaled down: every method trained from scratch with its published settings.

    Renders the data, makes the twins, trains each method with each seed, and writes OUT/report: recalls with intervals
    beside the published ones, paired tests between daco and each method, curves and pictures. Only backbone, picture
    size and iterations differ from the published settings, alike for all.

    Stop it with Ctrl-C; the same command resumes. Outcomes in OUT/outcomes can be brought from another machine and
    reported here with --report-only.

    Example: daco-bench reproduce --iters 2000 --image-size 64 --seeds 0
    """
    from daco_bench.reproduction.contenders import find_contenders
    from daco_bench.reproduction.data import make_city_data, make_twins
    from daco_bench.reproduction.runs import Scale, plan_runs, train_runs
    from daco_core.photographs.layout import DataSet
    from daco_training.cli.train import whole_numbers

    ranks = (1, 2, 4, 8)
    kinds = words(twins)
    contenders = find_contenders(words(methods), kinds, words(also))
    dataset = DataSet(data_root, name) if name else make_city_data(out / "data", places, size)
    if not report_only:
        data = {kind: make_twins(dataset, kind, out / "twins" / kind) for kind in kinds} | {None: dataset}
        scale = Scale(backbone, image_size, iters, val_every, precision, our_iters)
        runs = plan_runs(contenders, whole_numbers(seeds, "--seeds"), scale, data, out, device.value)
        train_runs(runs, jobs)
    if not train_only:
        from daco_bench.reproduction.report import claims, load_outcomes, make_report, write_report

        outcomes = load_outcomes(out / "outcomes")
        report = make_report(outcomes, dataset, ranks, beside)
        files = write_report(report, outcomes, ranks, out / "report", dataset.name)
        supported = claims([*report.claim, *report.late, *report.bound])
        typer.echo("\n".join([report.scale, *supported, f"Written to {', '.join(map(str, files))}."]))
