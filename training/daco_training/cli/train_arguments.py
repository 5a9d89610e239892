"""The options of a training run, as `daco-train` takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from daco_core.console import option, whole_numbers, words
from daco_training.loop.recipe import DEFAULTS, PARTS

if TYPE_CHECKING:
    from daco_training.loop.settings import TrainSettings


@dataclass(frozen=True)
class TrainArguments:
    """`TrainOptions` as options of a command, under the same names; lists are texts."""

    recipe: Annotated[
        str,
        option(
            "recipe", "published: as the paper's code; modern: from ImageNet weights, with this project's improvements."
        ),
    ] = "published"
    without: Annotated[
        str,
        option("without", f"Parts of the modern recipe to leave out: {', '.join(PARTS)}."),
    ] = ""
    data_root: Annotated[Path, option("data_root", "Folder of the data sets.")] = Path("data")
    data_name: Annotated[
        str, option("data_name", "Data set: tokyo, cityscapes, synthia, demo, or any folder below the data root.")
    ] = "tokyo"
    method_name: Annotated[str, option("method_name", "daco, simclr, simsiam, moco or npid.")] = "daco"
    proj_dim: Annotated[int, option("proj_dim", "Dimension of the projections; simsiam uses that of the features.")] = (
        128
    )
    temperature: Annotated[
        float | None, option("temperature", "Temperature of the loss.", show_default="0.1; modern 0.07")
    ] = None
    batch_size: Annotated[
        int | None, option("batch_size", "Images in a batch.", show_default="16; simclr, simsiam, moco 32; npid 64")
    ] = None
    iters: Annotated[
        int | None, option("iters", "Iterations to train.", show_default=f"40000; modern {DEFAULTS['modern']['iters']}")
    ] = None
    gpu_ids: Annotated[
        str | None, option("gpu_ids", "GPUs to train on, such as 0 1.", show_default="the GPU if any, else the CPU")
    ] = None
    ranks: Annotated[str, option("ranks", "Values of k for R@k.")] = "1,2,4,8"
    save_root: Annotated[Path, option("save_root", "Folder for encoders, results and logs.")] = Path("result")
    lamda: Annotated[float, option("lamda", "daco: weight of the cross-domain terms of the loss.")] = 0.8
    dense: Annotated[
        float,
        option("dense", "daco: weight of the loss over cells, for grid and place pooling (not in the paper)."),
    ] = 0.0
    move: Annotated[
        float,
        option(
            "move",
            "Share of the views for which the camera is moved: rotated, zoomed, shifted (not in the paper).",
        ),
    ] = 0.0
    negs: Annotated[int, option("negs", "moco: length of the queue; npid: number of negatives.")] = 4096
    mask_copies: Annotated[
        bool,
        option("mask_copies", "moco, npid: exclude older copies of an image from its negatives (not in the paper)."),
    ] = False
    momentum: Annotated[
        float | None,
        option(
            "momentum",
            "Momentum of the key network (moco) or of the memory bank (npid).",
            show_default="0.5; moco 0.999",
        ),
    ] = None
    backbone: Annotated[
        str | None,
        option(
            "backbone",
            "resnet50, resnet18, or the name of any timm model.",
            show_default="resnet50; modern tf_efficientnet_lite0",
        ),
    ] = None
    pooling: Annotated[
        str | None,
        option(
            "pooling",
            "avg; gem; grid, which keeps the layout of the image; or place, grid plus a descriptor of the whole image.",
            show_default="avg; modern grid",
        ),
    ] = None
    resize: Annotated[
        str | None,
        option(
            "resize",
            "Resize photographs by their shorter side (shorter), or to a square (square).",
            show_default="shorter; modern square",
        ),
    ] = None
    image_size: Annotated[
        int, option("image_size", "Size of a view, and of a photograph's shorter side, in pixels.")
    ] = 256
    pretrained: Annotated[
        str | None,
        option(
            "pretrained",
            "Initial weights: a file, imagenet, or none.",
            show_default="none; modern imagenet",
        ),
    ] = None
    lr: Annotated[float, option("lr", "Learning rate; 1e-4 suits pretrained backbones that are not frozen.")] = 1e-3
    tail_lr: Annotated[
        float, option("tail_lr", "Learning rate of a frozen backbone's last stage; 0 keeps it frozen.")
    ] = 0.0
    tail_stages: Annotated[
        int,
        option("tail_stages", "Number of last stages that --tail_lr trains; 2 include the map that --dense uses."),
    ] = 1
    precision: Annotated[
        str | None,
        option("precision", "fp32, bf16, fp16, or auto: bf16 where it is faster.", show_default="fp32; modern auto"),
    ] = None
    compile: Annotated[
        bool, option("compile", "Use torch.compile, for GPUs: takes minutes at the start, then makes steps faster.")
    ] = False
    nodes: Annotated[
        int,
        option("nodes", "Number of machines; each runs the same command. See docs/reference/training-speed.md."),
    ] = 1
    val_every: Annotated[
        int, option("val_every", "Iterations between validations.", show_default="an epoch", min=0)
    ] = 0
    checkpoint_minutes: Annotated[
        float, option("checkpoint_minutes", "Longest time between two checkpoints, in minutes.")
    ] = 5.0
    workers: Annotated[int, option("workers", "Threads that prefetch images; 0 reads them between steps.", min=0)] = 2
    memory_share: Annotated[
        float, option("memory_share", "Share of GPU and main memory in which photographs may be cached.")
    ] = 0.25
    seed: Annotated[
        int, option("seed", "Random seed; the same seed gives the same run on one kind of device.", min=0)
    ] = 0

    def settings(self) -> "TrainSettings":
        """The settings of the run. Raises UsageError if a value is impossible, or contradicts another one."""
        from daco_training.loop.settings import TrainOptions

        lists = {
            "without": tuple(words(self.without)),
            "gpu_ids": whole_numbers(self.gpu_ids, "--gpu_ids") if self.gpu_ids else None,
            "ranks": whole_numbers(self.ranks, "--ranks"),
        }
        return TrainOptions(**vars(self) | lists).resolve()
