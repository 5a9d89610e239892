"""Arguments and options that several commands of `daco-index` share."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from daco_core.console import Trust, option
from daco_core.encoder.config import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE
from daco_core.index_argument import INDEX_HELP

if TYPE_CHECKING:
    from daco_index.embedding.options import EmbeddingOptions


class SplitName(StrEnum):
    """The splits of a data set."""

    all = "all"
    train = "train"
    val = "val"


class PrecisionName(StrEnum):
    """The precisions of queries."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


class EngineName(StrEnum):
    """Where photographs are embedded."""

    local = "local"
    ray = "ray"


Index = Annotated[Path, typer.Argument(help=INDEX_HELP)]
Source = Annotated[
    str,
    typer.Argument(
        help="The photographs: NAME/domain of a data set below the data root (tokyo/day, demo/domain_a); or any"
        " folder, including its subfolders; or a video or a robot's recording (ROS bag, MCAP), of which frames are"
        " extracted; or an address such as s3://BUCKET/FOLDER, which needs its fsspec package (s3fs, gcsfs, ...)."
    ),
]
DataRoot = Annotated[Path, option("data_root", "Folder of the data sets.")]
SplitOption = Annotated[SplitName, typer.Option("--split", help="Split of the data set.")]
BatchSize = Annotated[int, option("batch_size", "Photographs that the encoder embeds at once.", min=1)]
Device = Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1, ...; auto uses a GPU if there is one.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail at an unreadable photograph instead of skipping it.")]
Keep = Annotated[int, typer.Option(min=1, help="Number of generations to keep, including the new one.")]
Store = Annotated[
    str | None,
    typer.Option(
        help="Store of the descriptors: faiss, a file of the index; or milvus://HOST:19530/NAME, a Milvus server "
        "or cluster (needs daco-serve\\[milvus]).",
        show_default="that of the index; faiss for a new one",
    ),
]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="Precision of queries. It is used if a test on the photographs shows a loss of at most half a point "
        "of recall; auto selects the fastest one. References are always embedded in fp32. int8 needs "
        "daco-serve\\[int8].",
    ),
]
ImageSize = Annotated[
    int | None,
    option(
        "image_size",
        "Pixels that photographs are resized to, for timm:, torchhub: and public encoders.",
        show_default="the encoder's usual size",
        min=MIN_IMAGE_SIZE,
        max=MAX_IMAGE_SIZE,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]


@dataclass(frozen=True)
class EmbeddingArguments:
    """How the commands that embed photographs do so: an option for each field."""

    batch_size: BatchSize = 16
    device: Device = "auto"
    strict: Strict = False
    trust: Trust = False
    engine: Annotated[
        EngineName,
        typer.Option(
            help="Where to embed: local, in this process; or ray, on the Ray cluster of RAY_ADDRESS or on all cores "
            "of this machine (needs daco-serve\\[ray]).",
        ),
    ] = EngineName.local

    def parse(self) -> "EmbeddingOptions":
        """Parses the arguments."""
        from daco_index.embedding.options import EmbeddingOptions

        return EmbeddingOptions(
            batch_size=self.batch_size,
            device=self.device,
            strict=self.strict,
            trust=self.trust,
            on_ray=self.engine is EngineName.ray,
        )


KEEP = 2  # daco_index.generations.folders.KEPT, without its imports


class GpuUse(StrEnum):
    """Whether to search on a GPU."""

    auto = "auto"
    on = "on"
    off = "off"


GpuOption = Annotated[
    GpuUse,
    typer.Option("--gpu", help="Search on a GPU; auto does so for large indexes if there is one."),
]


def wide_console() -> Console:
    """A console as wide as the terminal, or wide enough for complete paths if the output goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=240)
