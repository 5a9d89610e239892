"""`daco-bench reproduce`: parses its arguments, makes the data, trains, and writes the report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option, whole_numbers, words
from daco_core.errors import UsageError

app = new_app("Reproduce the published comparison of methods.")


class Device(StrEnum):
    """What trains."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command()
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="Data set below --data-root with pairs; by default, a city is rendered.")
    ] = None,
    data_root: Annotated[Path, option("data_root", "Folder that holds the data sets.")] = Path("data"),
    out: Annotated[Path, option("out", "Folder for data, runs, outcomes and the reports.")] = Path(
        "result/reproduction"
    ),
    conditions: Annotated[
        str,
        option(
            "conditions",
            "Pairs of conditions to render and compare, such as day/night,sunset/rainy-night,day/fog, which correspond"
            " to Tokyo 24/7, SYNTHIA and Foggy Cityscapes.",
        ),
    ] = "day/night",
    methods: Annotated[str, option("methods", "Methods, in this order.")] = "npid,moco,simsiam,simclr,daco",
    twins: Annotated[
        str | None,
        option(
            "twins",
            "Twins of daco: night, fog, fourier, cut (trained first), rendered, ...; each after the first adds a"
            " variant of daco to the comparison.",
            show_default="night or fog, depending on the conditions; fourier; rendered",
        ),
    ] = None,
    also: Annotated[
        str,
        option(
            "also",
            "What else to train: masked, npid and moco without older copies of an image as its negatives; modern, every"
            " method with the modern recipe; streets, simclr and daco with more training streets; longer, both with"
            " more iterations. Empty for nothing.",
        ),
    ] = "masked,modern",
    seeds: Annotated[str, option("seeds", "Random seeds; each method is trained once with each.")] = "0,1,2",
    backbone: Annotated[str, option("backbone", "Backbone; published: resnet50.")] = "resnet18",
    image_size: Annotated[int, option("image_size", "Size of a view, in pixels; published: 256.", min=32)] = 96,
    iters: Annotated[int, option("iters", "Iterations of each run; published: 40000.", min=1)] = 10000,
    longer_iters: Annotated[int, option("longer_iters", "Iterations of --also longer.", min=1)] = 20000,
    modern_iters: Annotated[
        int, option("modern_iters", "Iterations with the modern recipe.", "--our-iters", "--our_iters", min=1)
    ] = 200,
    val_every: Annotated[int, option("val_every", "Iterations between two points of a curve.", min=1)] = 500,
    precision: Annotated[str, option("precision", "fp32 (published), bf16, fp16 or auto.")] = "fp32",
    device: Annotated[Device, option("device", "Device for training.")] = Device.auto,
    jobs: Annotated[int, option("jobs", "Number of concurrent runs, such as several on one GPU.", min=1)] = 1,
    places: Annotated[int, option("places", "Places of the city, including those for validation.", min=8)] = 375,
    val_places: Annotated[int, option("val_places", "Places for validation.", min=2)] = 75,
    more_places: Annotated[int, option("more_places", "Places of the city of --also streets.", min=8)] = 1275,
    size: Annotated[int, option("size", "Shorter side of the rendered photographs in pixels.", min=64)] = 128,
    cut_iters: Annotated[int, option("cut_iters", "Training steps of --twins cut, in each direction.", min=1)] = 20000,
    beside: Annotated[
        str | None,
        option(
            "beside",
            "Published recalls to show for comparison: tokyo, cityscapes or synthia.",
            show_default="those of the conditions; tokyo for a data set",
        ),
    ] = None,
    plan: Annotated[
        bool, option("plan", "Only list what is to be rendered and trained, and estimate how long it takes.")
    ] = False,
    data_only: Annotated[
        bool, option("data_only", "Only render and make twins, so that another machine can train on OUT.")
    ] = False,
    report_only: Annotated[bool, option("report_only", "Only write the report, from existing outcomes.")] = False,
    train_only: Annotated[bool, option("train_only", "Train without writing the report.")] = False,
) -> None:
    """Reproduce the published comparison, scaled down: every method trained from scratch with its published settings.

    Renders the data, makes the twins, trains each method with each seed, and writes OUT/day-night/report: recalls with
    intervals and the published recalls, paired tests between daco and each method, curves and figures. Only backbone,
    image size and iterations differ from the published settings, in the same way for all methods.

    Stop it with Ctrl-C; the same command resumes. Outcomes from another machine can be copied to OUT/day-night/outcomes
    and reported with --report-only.

    Example: daco-bench reproduce --iters 2000 --image-size 64 --seeds 0 --plan
    """
    from daco_bench.reproduction.conditions import Conditions
    from daco_bench.reproduction.contenders import find_contenders
    from daco_bench.reproduction.data import City
    from daco_bench.reproduction.method_comparison import MethodComparison
    from daco_bench.reproduction.plan import describe_plan, plan_of, progress
    from daco_bench.reproduction.runs import Scale, train_runs
    from daco_core.photographs.layout import DataSet

    scale = Scale(backbone, image_size, iters, val_every, precision, modern_iters, longer_iters)
    chosen, extra = words(methods), words(also)
    comparisons = []
    if name:
        contenders = find_contenders(chosen, words(twins or "night,fourier,rendered"), extra)
        if "streets" in extra:
            raise UsageError("--also streets needs the rendered city: omit it, or omit the name of the data set.")
        given = DataSet(data_root, name)
        comparisons.append(MethodComparison(out / name, contenders, given=given, beside=beside or "tokyo"))
    else:
        city = City(out / "city", places, val_places, size)
        for text in words(conditions):
            pair = Conditions.parse(text)
            contenders = find_contenders(chosen, words(twins) if twins else pair.twins, extra)
            folder, published = out / pair.name, beside or pair.published
            comparisons.append(MethodComparison(folder, contenders, pair, city, more_places, beside=published))
    runs = [run for one in comparisons for run in one.runs(whole_numbers(seeds, "--seeds"), scale, device.value)]
    if plan:
        to_render = {condition: count for one in comparisons for condition, count in one.to_render().items()}
        typer.echo(describe_plan(plan_of(runs), to_render, jobs))
        return
    if not report_only:
        for one in comparisons:
            one.make_data(cut_iters, device.value)
        if data_only:
            return
        train_runs(runs, jobs, lambda run: typer.echo(progress(run, plan_of(runs), jobs), err=True))
    if not train_only:
        for one in comparisons:
            typer.echo("\n".join(one.report()))
