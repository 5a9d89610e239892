"""`daco-train`: parses, calls, prints."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daco_core.console import new_app, option, run, words
from daco_core.errors import UsageError
from daco_training.loop.recipe import DEFAULTS, PARTS

LISTS = ("--gpu_ids", "--gpu-ids", "--ranks")

app = new_app(
    """Train an encoder that sees through a change of condition: daco, or one of simclr, simsiam, moco and npid.

    Writes SAVE_ROOT/NAME_METHOD_results.csv (a row an epoch), the best encoder by mean R@1 as the folder
    SAVE_ROOT/NAME_METHOD/, TensorBoard logs, and a checkpoint. Ctrl-C stops; --resume goes on.
    """
)


class PublishedCommand(TyperGroup):
    """Takes lists as the published commands write them: `--gpu_ids 0 1` as well as `--gpu_ids 0,1`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_lists(args))


def join_lists(arguments: list[str]) -> list[str]:
    """`["--gpu_ids", "0", "1", "--iters", "5"]` to `["--gpu_ids", "0,1", "--iters", "5"]`."""
    joined: list[str] = []
    taking = False
    for argument in arguments:
        if argument.startswith("-"):
            taking = argument in LISTS
        elif taking and joined[-1] not in LISTS:
            joined[-1] += f",{argument}"
            continue
        joined.append(argument)
    return joined


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """`1,2,4,8` to (1, 2, 4, 8).

    Raises:
        DacoError: it is no list of whole numbers.
    """
    try:
        return tuple(map(int, words(text)))
    except ValueError as error:
        raise UsageError(f"{name} takes whole numbers, such as 0 1 or 0,1; not {text!r}.") from error


# a callback, so that the published command lines, which have no subcommand, work beside `import`
@app.callback(cls=PublishedCommand, invoke_without_command=True, no_args_is_help=False)
def train(
    context: typer.Context,
    recipe: Annotated[
        str,
        option(
            "recipe", "published: as the paper's code trains; modern: ours, from ImageNet weights, with what helps."
        ),
    ] = "published",
    without: Annotated[
        str,
        option("without", f"Parts of the modern recipe to leave out: {', '.join(PARTS)}."),
    ] = "",
    data_root: Annotated[Path, option("data_root", "Folder that holds the data sets.")] = Path("data"),
    data_name: Annotated[
        str, option("data_name", "Data set: tokyo, cityscapes, synthia, demo, or any folder below the data root.")
    ] = "tokyo",
    method_name: Annotated[str, option("method_name", "daco, simclr, simsiam, moco or npid.")] = "daco",
    proj_dim: Annotated[
        int, option("proj_dim", "Length of the projections that the loss compares; simsiam takes the features'.")
    ] = 128,
    temperature: Annotated[
        float | None, option("temperature", "Temperature of the loss.", show_default="0.1; modern 0.07")
    ] = None,
    batch_size: Annotated[
        int | None, option("batch_size", "Images in a batch.", show_default="16; simclr, simsiam, moco 32; npid 64")
    ] = None,
    iters: Annotated[
        int | None, option("iters", "Iterations to train.", show_default=f"40000; modern {DEFAULTS['modern']['iters']}")
    ] = None,
    gpu_ids: Annotated[
        str | None, option("gpu_ids", "GPUs to train on, such as 0 1.", show_default="the GPU if any, else the CPU")
    ] = None,
    ranks: Annotated[str, option("ranks", "The k of the recalls R@k.")] = "1,2,4,8",
    save_root: Annotated[Path, option("save_root", "Folder for encoders, results and logs.")] = Path("result"),
    lamda: Annotated[float, option("lamda", "daco: weight of the cross-domain terms.")] = 0.8,
    negs: Annotated[int, option("negs", "moco, npid: length of the queue, or negatives drawn.")] = 4096,
    mask_copies: Annotated[
        bool, option("mask_copies", "moco, npid: an image's own older copies are no negatives of it (not published).")
    ] = False,
    momentum: Annotated[
        float | None,
        option("momentum", "moco: of the key network; npid: of the memory bank.", show_default="0.5; moco 0.999"),
    ] = None,
    backbone: Annotated[
        str | None,
        option(
            "backbone",
            "resnet50, resnet18, or any timm model by name.",
            show_default="resnet50; modern tf_efficientnet_lite0",
        ),
    ] = None,
    pooling: Annotated[
        str | None, option("pooling", "avg, gem, or grid: what is where.", show_default="avg; modern grid")
    ] = None,
    resize: Annotated[
        str | None,
        option(
            "resize",
            "How photographs come to their size: by their shorter side, or square.",
            show_default="shorter; modern square",
        ),
    ] = None,
    image_size: Annotated[int, option("image_size", "Pixels of a view, and of a photograph's shorter side.")] = 256,
    pretrained: Annotated[
        str | None,
        option(
            "pretrained",
            "A file of weights, imagenet for the library's own, or none.",
            show_default="none; modern imagenet",
        ),
    ] = None,
    lr: Annotated[float, option("lr", "Learning rate; 1e-4 suits weights that all go on learning.")] = 1e-3,
    tail_lr: Annotated[
        float, option("tail_lr", "Learning rate of a frozen backbone's last stage; 0: it stays as it is, too.")
    ] = 0.0,
    precision: Annotated[
        str | None,
        option("precision", "fp32, bf16, fp16, or auto: bf16 where it is faster.", show_default="fp32; modern auto"),
    ] = None,
    compile: Annotated[
        bool, option("compile", "torch.compile the network, for a GPU: minutes at the start, less for each step.")
    ] = False,
    nodes: Annotated[
        int,
        option(
            "nodes", "Machines to train on together, each with the same command; see docs/reference/training-speed.md."
        ),
    ] = 1,
    val_every: Annotated[
        int, option("val_every", "Iterations between validations.", show_default="an epoch", min=0)
    ] = 0,
    checkpoint_minutes: Annotated[
        float, option("checkpoint_minutes", "The longest time between two checkpoints, in minutes.")
    ] = 5.0,
    resume: Annotated[bool, option("resume", "Go on from the run's last checkpoint in the save root.")] = False,
    workers: Annotated[int, option("workers", "Threads that read images ahead; 0 reads between the steps.", min=0)] = 2,
    memory_share: Annotated[
        float, option("memory_share", "Share of the memory, of a GPU's first, that may hold photographs once read.")
    ] = 0.25,
    seed: Annotated[int, option("seed", "The same seed gives the same run on one kind of device.", min=0)] = 0,
) -> None:
    """Trains, unless a subcommand was named."""
    if context.invoked_subcommand is not None:
        return

    from daco_training.loop.settings import TrainOptions
    from daco_training.loop.trainer import train as start

    settings = TrainOptions(
        recipe=recipe,
        without=tuple(words(without)),
        data_root=data_root,
        data_name=data_name,
        method_name=method_name,
        proj_dim=proj_dim,
        temperature=temperature,
        batch_size=batch_size,
        iters=iters,
        gpu_ids=whole_numbers(gpu_ids, "--gpu_ids") if gpu_ids else None,
        ranks=whole_numbers(ranks, "--ranks"),
        save_root=save_root,
        lamda=lamda,
        negs=negs,
        mask_copies=mask_copies,
        momentum=momentum,
        backbone=backbone,
        pooling=pooling,
        resize=resize,
        image_size=image_size,
        pretrained=pretrained,
        lr=lr,
        tail_lr=tail_lr,
        precision=precision,
        compile=compile,
        nodes=nodes,
        workers=workers,
        memory_share=memory_share,
        seed=seed,
        val_every=val_every,
        checkpoint_minutes=checkpoint_minutes,
    ).resolve()
    report = start(settings, resume)
    if report.speaks and report.finished:
        typer.echo(f"Encoder: {settings.encoder_folder}  Results: {settings.results_file}")
    elif report.speaks:
        done = f"{report.iterations} of {settings.iters}"
        typer.echo(f"Stopped after iteration {done}: the same command with --resume goes on.")
    if not report.finished:
        sys.exit(130)


@app.command("import")
def import_encoder(
    model: Annotated[Path, typer.Argument(help="A *_model.pth that the published code saved.")],
    out: Annotated[Path, option("out", "Folder for the encoder, such as result/tokyo_daco.")],
    data_name: Annotated[
        str | None, option("data_name", "Data set that it was trained on, for its mean and std: tokyo, ...")
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None, option("mean", "For another data set: mean of red, green and blue, in 0..1.")
    ] = None,
    std: Annotated[tuple[float, float, float] | None, option("std", "Their standard deviations.")] = None,
) -> None:
    """Turn an encoder of the published code into a folder that daco-index and daco-bench take.

    Nothing in the file is run. Its projection head, which only training needs, is left out.

    Example: daco-train import tokyo_daco_model.pth --data-name tokyo --out result/tokyo_daco
    """
    if (mean is None) != (std is None) or (mean is None and data_name is None):
        raise UsageError("Name the data set of the encoder with --data-name, or give both --mean and --std.")

    from daco_training.encoder.published import published_encoder, published_normaliser

    normaliser = (mean, std) if mean and std else published_normaliser(str(data_name))
    published_encoder(model, normaliser, data_name).save(out)
    typer.echo(f"Encoder: {out}  Try: daco-bench recall {data_name or 'NAME'} --encoder {out}")


@app.command()
def average(
    first: Annotated[Path, typer.Argument(help="The folder of an encoder, such as one with a frozen backbone.")],
    second: Annotated[Path, typer.Argument(help="Of another one of the same form, such as one trained with a tail.")],
    out: Annotated[Path, option("out", "Folder for the new one.")],
    share: Annotated[
        float, option("share", "How far to go from the first's weights to the second's.", min=0.0, max=1.0)
    ] = 0.5,
) -> None:
    """Make an encoder whose weights lie between those of two: it often keeps what the first knows and gains most of
    what the second learned.

    Both must have begun with the same weights. Measure what comes of it with daco-bench recall.

    Example: daco-train average frozen/demo_daco tail/demo_daco --share 0.25 --out result/demo_daco
    """
    from daco_training.encoder.averaging import average_encoders
    from daco_training.encoder.encoder import Encoder

    average_encoders(Encoder.load(first), Encoder.load(second), share).save(out)
    typer.echo(f"Encoder: {out}")


@app.command()
def pack(
    encoder: Annotated[Path, typer.Argument(help="The folder of an encoder.")],
    out: Annotated[Path, option("out", "Folder for the small one.")],
) -> None:
    """Keep an encoder's weights as 16-bit numbers: half the size, nearly the same descriptors.

    Nearly the same is another encoder to an index, which must be built with the one that it is asked with.
    """
    from daco_training.encoder.encoder import Encoder

    Encoder.load(encoder).save(out, half=True)
    typer.echo(f"Encoder: {out}")


def main() -> None:
    run(app)
