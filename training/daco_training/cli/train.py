"""`daco-train`: parses, calls, prints."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daco_core.console import check_output, new_app, option, run
from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.option_groups import with_option_groups
from daco_training.cli.train_arguments import TrainArguments

LISTS = ("--gpu_ids", "--gpu-ids", "--ranks")

app = new_app(
    """Train an encoder that is robust to changes of condition, with daco, simclr, simsiam, moco or npid.

    Writes SAVE_ROOT/NAME_METHOD_results.csv (one row per epoch), the best encoder by mean R@1 in
    SAVE_ROOT/NAME_METHOD/, TensorBoard logs, and a checkpoint. Ctrl-C stops it; --resume continues.
    """
)


class PublishedCommand(TyperGroup):
    """Accepts lists in the form of the published commands: `--gpu_ids 0 1` as well as `--gpu_ids 0,1`."""

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


# a callback, so that the published command lines, which have no subcommand, work beside `import`
@app.callback(cls=PublishedCommand, invoke_without_command=True, no_args_is_help=False)
@with_option_groups
def train(
    context: typer.Context,
    *,
    asked: TrainArguments,
    resume: Annotated[bool, option("resume", "Continue from the last checkpoint in the save root.")] = False,
) -> None:
    """Trains, unless a subcommand is given."""
    if context.invoked_subcommand is not None:
        return

    from daco_training.loop.trainer import train as start

    settings = asked.settings()
    report = start(settings, resume)
    if report.speaks and report.finished:
        typer.echo(f"Encoder: {settings.encoder_folder}  Results: {settings.results_file}")
    elif report.speaks:
        done = f"{report.iterations} of {settings.iters}"
        typer.echo(f"Stopped after iteration {done}: the same command with --resume continues.")
    if not report.finished:
        sys.exit(130)


@app.command("import")
def import_encoder(
    model: Annotated[Path, typer.Argument(help="A *_model.pth file of the published code.")],
    out: Annotated[Path, option("out", "Folder for the encoder, such as result/tokyo_daco.")],
    data_name: Annotated[
        str | None,
        option("data_name", "Data set that it was trained on (tokyo, ...), for its mean and standard deviation."),
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None,
        option("mean", "For other data sets: mean of red, green and blue, from 0 to 1."),
    ] = None,
    std: Annotated[
        tuple[float, float, float] | None,
        option("std", "For other data sets: standard deviations of red, green and blue."),
    ] = None,
) -> None:
    """Convert an encoder of the published code into an encoder folder for daco-index and daco-bench.

    No code in the file is executed. The projection head, which is used in training only, is left out.

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
    first: Annotated[Path, typer.Argument(help="Folder of an encoder, for example one with a frozen backbone.")],
    second: Annotated[
        Path, typer.Argument(help="Folder of another one with the same form, for example one trained with --tail_lr.")
    ],
    out: Annotated[Path, option("out", "Folder for the new encoder.")],
    share: Annotated[float, option("share", "Weight of the second encoder.", min=0.0, max=1.0)] = 0.5,
) -> None:
    """Interpolate the weights of two encoders, which often combines the strengths of both.

    Both must have been trained from the same initial weights. Measure the result with daco-bench recall.

    Example: daco-train average frozen/demo_daco tail/demo_daco --share 0.25 --out result/demo_daco
    """
    from daco_training.encoder.averaging import average_encoders
    from daco_training.encoder.encoder import Encoder

    average_encoders(Encoder.load(first), Encoder.load(second), share).save(out)
    typer.echo(f"Encoder: {out}")


@app.command()
def whiten(
    encoder: Annotated[Path, typer.Argument(help="Folder of a trained encoder.")],
    out: Annotated[Path, option("out", "Folder for the new encoder.")],
    data_root: Annotated[Path, option("data_root", "Folder that holds the data sets.")] = Path("data"),
    data_name: Annotated[
        str | None, option("data_name", "Data set whose training photographs have twins (daco-data translate).")
    ] = None,
    viewpoints: Annotated[
        str | None, option("viewpoints", "Data set of places from several viewpoints (daco-data demo --viewpoint).")
    ] = None,
    seed: Annotated[int, option("seed", "Random seed of the movements of the camera.", min=0)] = 0,
) -> None:
    """Fit a learned whitening: shorten the directions in which descriptors of the same place differ.

    The same place is shown by a photograph, its twin, and both as seen by a moved camera (--data-name), or by
    renderings of a place in all conditions from all viewpoints (--viewpoints). It takes minutes on a CPU.

    Example: daco-train whiten result/demo_daco --data-name demo --viewpoints demo --out result/whitened
    """
    from daco_training.encoder.encoder import Encoder
    from daco_training.views.same_place import whiten_encoder

    whiten_encoder(Encoder.load(encoder), data_root, data_name, viewpoints, seed).save(out)
    typer.echo(f"Encoder: {out}")


@app.command()
def pack(
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")],
    out: Annotated[Path, option("out", "Folder for the new encoder.")],
) -> None:
    """Store an encoder's weights as 16-bit numbers: half the size, nearly the same descriptors.

    The result has a fingerprint of its own: an index must be built and queried with the same encoder.
    """
    from daco_training.encoder.encoder import Encoder

    Encoder.load(encoder).save(out, half=True)
    typer.echo(f"Encoder: {out}")


@app.command()
def export(
    encoder: Annotated[Path, typer.Argument(help="The folder of an encoder.")],
    onnx: Annotated[Path, option("onnx", "File to write, such as encoder.onnx.")],
) -> None:
    """Write an encoder as an ONNX file for other programs, and a manifest next to it.

    The file is checked against PyTorch.

    The output `descriptor` has length 1; the manifest states how an image is prepared. With both files, the network can
    be used as `--encoder onnx:PATH`.

    Example: daco-train export result/demo_daco --onnx demo.onnx
    """
    import hashlib
    import json

    from daco_core.files import write_bytes, write_text
    from daco_training.encoder.onnx_export import export_onnx
    from daco_training.encoder.sources import load_encoder

    check_output("--onnx", onnx, [".onnx"])
    loaded = load_encoder(str(encoder))
    exported, config = export_onnx(loaded), loaded.config
    manifest = {
        "image_size": config.image_size,
        "resize": config.resize,
        "mean": config.mean,
        "std": config.std,
        **exported.described,
        "sha256": hashlib.sha256(exported.content).hexdigest(),
    }
    try:
        write_bytes(onnx, exported.content)
        write_text(onnx.with_suffix(".json"), json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise DacoError(f"{onnx} cannot be written: {reason_of(error)}.") from error
    typer.echo(f"Network: {onnx}  Try: daco-index build PHOTOGRAPHS --encoder onnx:{onnx} --out map")


def main() -> None:
    run(app)
