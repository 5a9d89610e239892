"""`daco-bench train`: parses, calls, prints."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option, words
from daco_core.errors import UsageError

app = new_app("Measure the speed of training.")


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Data set, with twins if the method needs them.")],
    data_root: Annotated[Path, option("data_root", "Folder of the data sets.")] = Path("data"),
    method_name: Annotated[str, option("method_name", "daco, simclr, simsiam, moco or npid.")] = "daco",
    backbone: Annotated[str, option("backbone", "resnet50, resnet18, or the name of any timm model.")] = "resnet50",
    batch_size: Annotated[int, option("batch_size", "Images in a batch.")] = 16,
    image_size: Annotated[int, option("image_size", "Size of a view, in pixels.")] = 256,
    precisions: Annotated[
        str, option("precisions", "Precisions of daco-train to measure: fp32, bf16, fp16, auto.")
    ] = "fp32,bf16",
    compile: Annotated[bool, option("compile", "Measure daco-train with --compile.")] = False,
    loader_workers: Annotated[
        int, option("loader_workers", "Loader processes of the published loop.", min=0, show_default="8, or the cores")
    ] = min(8, os.cpu_count() or 1),
    steps: Annotated[int, option("steps", "Training steps in a block.", min=1)] = 3,
    rounds: Annotated[int, option("rounds", "Measured blocks of each loop, in turns.", min=1)] = 3,
    device: Annotated[str, option("device", "auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, option("json", "Print JSON: the figures, the settings and the machine.")] = False,
    as_markdown: Annotated[bool, option("markdown", "Print a Markdown table.")] = False,
) -> None:
    """Compare the speed of daco-train with a plain training loop like the published one, in turns on the same data.

    The plain loop has Pillow transforms in loader workers, one forward pass per view in fp32, and Adam. Seconds are
    medians over the steps; waiting is the share of the time that the device waits for data. Nothing is saved.

    Example: daco-bench train demo --backbone resnet18 --image-size 128
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"There is no device {device!r}: choose auto, cpu or cuda.")

    from daco_bench.speed.machine import machine
    from daco_bench.speed.training import compare_speed, show, to_markdown
    from daco_training.loop.settings import TrainOptions

    settings = TrainOptions(
        data_root=data_root,
        data_name=name,
        method_name=method_name,
        backbone=backbone,
        batch_size=batch_size,
        image_size=image_size,
        compile=compile,
    ).resolve()
    rows = compare_speed(settings, words(precisions), steps, rounds, loader_workers, device)
    if as_json:
        subject = {"dataset": name, "method": method_name, "backbone": backbone, "batch_size": batch_size}
        subject |= {"image_size": image_size, "compile": compile, "loader_workers": loader_workers}
        print(json.dumps({**subject, "machine": machine(), "rows": [asdict(row) for row in rows]}, indent=2))
    elif as_markdown:
        print(to_markdown(rows))
    else:
        show(rows, f"{method_name}, {backbone}, batch {batch_size}, {image_size} px")
