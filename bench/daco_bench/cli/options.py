"""Options that several commands of `daco-bench` share, and how their values are parsed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import Trust, option, whole_numbers, words
from daco_core.errors import UsageError
from daco_index.cli.options import DataRoot, Device, SplitName, SplitOption
from daco_training.loop.recipe import DEFAULTS

if TYPE_CHECKING:
    from daco_bench.indexed_queries import IndexedQueries
    from daco_bench.recall.task import Task
    from daco_training.loop.settings import TrainSettings

Ranks = Annotated[str, option("ranks", "Values of k for R@k.")]
Json = Annotated[bool, option("json", "Print JSON: recalls and their 95 % intervals, in percent.")]
Markdown = Annotated[bool, option("markdown", "Print a Markdown table.")]

Trainable = Annotated[str, typer.Argument(help="Data set below the data root, with validation photographs.")]
Iters = Annotated[
    int | None,
    option("iters", "Training iterations of each.", show_default=f"40000; modern {DEFAULTS['modern']['iters']}"),
]
Backbone = Annotated[
    str | None, option("backbone", "Name of any timm model.", show_default="resnet50; modern tf_efficientnet_lite0")
]
ImageSize = Annotated[int, option("image_size", "Size of a view, and of a photograph's shorter side, in pixels.")]
SaveRoot = Annotated[Path, option("save_root", "Folder for encoders, results and logs.")]
Seed = Annotated[int, option("seed", "Random seed; the same seed gives the same runs.", min=0)]
Rerank = Annotated[
    int,
    option("rerank", "Number of candidates to re-rank by local descriptors, if the encoder has them; 0: none.", min=0),
]
EncoderName = Annotated[
    str,
    option("encoder", "As daco-index build takes it: default, a folder, megaloc, timm:NAME, torchhub:REPO:ENTRY, ..."),
]

Queries = Annotated[Path | None, option("queries", "Folder of query photographs.")]
Distance = Annotated[
    float | None,
    option(
        "distance", "Largest distance of a right match, in metres.", show_default="25, if all have positions", min=0
    ),
]
Frames = Annotated[
    int | None,
    option(
        "frames",
        "Largest difference of a right match in frames, in the order of names.",
        show_default="3 if both folders have the same names",
        min=0,
    ),
]


@dataclass(frozen=True)
class BenchmarkArguments:
    """The benchmark: a data set, or two folders."""

    name: Annotated[str | None, typer.Argument(help="Data set below the data root, with validation pairs.")] = None
    data_root: DataRoot = Path("data")
    database: Annotated[Path | None, option("database", "Instead of NAME: folder of reference photographs.")] = None
    queries: Queries = None
    distance: Distance = None
    frames: Frames = None

    def task(self) -> "Task":
        """Opens the benchmark. Raises DacoError."""
        from daco_bench.recall.task import find_task

        return find_task(self.name, self.data_root, self.database, self.queries, self.distance, self.frames)


@dataclass(frozen=True)
class QueriesArguments:
    """How photographs with known places are found and looked up in an index."""

    data_root: DataRoot = Path("data")
    split: SplitOption = SplitName.all
    device: Device = "auto"
    trust: Trust = False

    def of(self, index: Path, queries: str) -> "IndexedQueries":
        """The photographs `queries` of an index."""
        from daco_bench.indexed_queries import IndexedQueries

        return IndexedQueries(index, queries, self.data_root, self.split.value, self.device, self.trust)


@dataclass(frozen=True)
class TrainingArguments:
    """How the compared encoders are trained; the same for all."""

    data_root: DataRoot = Path("data")
    recipe: Annotated[
        str, option("recipe", "Training recipe: published or modern; sets the options that are not given.")
    ] = "published"
    without: Annotated[
        str, option("without", "Parts of the modern recipe to leave out, separated by commas: frozen, ...")
    ] = ""
    iters: Iters = None
    backbone: Backbone = None
    pooling: Annotated[str | None, option("pooling", "avg, gem or grid.", show_default="avg; modern grid")] = None
    image_size: ImageSize = 256
    pretrained: Annotated[
        str | None,
        option("pretrained", "Initial weights: a file, imagenet, or none.", show_default="none; modern imagenet"),
    ] = None
    lr: Annotated[float, option("lr", "Learning rate.")] = 1e-3
    precision: Annotated[str, option("precision", "fp32, bf16, fp16, or auto: bf16 if it is faster.")] = "fp32"
    seed: Seed = 0

    def settings(self, name: str, save_root: Path, ranks: str) -> "TrainSettings":
        """The settings of the data set `name`. Raises DacoError."""
        from daco_training.loop.settings import TrainOptions

        lists = {"without": tuple(words(self.without)), "ranks": rank_list(ranks)}
        return TrainOptions(data_name=name, save_root=save_root, **vars(self) | lists).resolve()


@dataclass(frozen=True)
class TableArguments:
    """The format of a comparison; a table for people by default."""

    as_json: Json = False
    as_csv: Annotated[bool, option("csv", "Print CSV with the columns of the published table.")] = False
    as_markdown: Markdown = False


def rank_list(text: str) -> tuple[int, ...]:
    """Parses `--ranks` to the values of k, ascending. Raises UsageError for anything but whole numbers from 1."""
    ks = tuple(sorted(set(whole_numbers(text, "--ranks"))))
    if not ks or ks[0] < 1:
        raise UsageError("--ranks needs whole numbers from 1, such as 1,2,4,8.")
    return ks


def size_list(text: str) -> list[int]:
    """Parses `--sizes`, ascending. Raises UsageError for anything but numbers from 1000."""
    try:
        counts = sorted({int(float(word)) for word in words(text)})
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--sizes needs numbers such as 1e4,1e5, not {text!r}.") from error
    if not counts or counts[0] < 1000:
        raise UsageError("--sizes needs numbers from 1000, such as 1e4,1e5.")
    return counts
