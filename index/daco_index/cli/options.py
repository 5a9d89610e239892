"""Arguments and options that several commands of `daco-index` take alike."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import option
from daco_core.index_argument import INDEX_HELP


class SplitName(StrEnum):
    """The parts of a data set."""

    all = "all"
    train = "train"
    val = "val"


class PrecisionName(StrEnum):
    """The wishes for the precision of queries."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


class EngineName(StrEnum):
    """What embeds photographs."""

    local = "local"
    ray = "ray"


Index = Annotated[Path, typer.Argument(help=INDEX_HELP)]
Source = Annotated[
    str,
    typer.Argument(
        help="The photographs: NAME/domain of a data set below the data root (tokyo/day, demo/domain_a); or any"
        " folder, taken with the folders in it; or an address such as s3://BUCKET/FOLDER, which takes fsspec's package"
        " for it (s3fs, gcsfs, ...)."
    ),
]
DataRoot = Annotated[Path, option("data_root", "The folder that holds the data sets.")]
SplitOption = Annotated[SplitName, typer.Option("--split", help="The part of a data set to take.")]
BatchSize = Annotated[int, option("batch_size", "Photographs that the encoder takes at once.", min=1)]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes the GPU if there is one.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at an unreadable photograph instead of skipping it.")]
OnEngine = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="What embeds: this process; or ray, the Ray cluster that RAY_ADDRESS names, or else all cores of this"
        " machine (needs daco-serve\\[ray]).",
    ),
]
Keep = Annotated[int, typer.Option(min=1, help="Generations that stay on disk, with the new one, to roll back to.")]
Store = Annotated[
    str | None,
    typer.Option(
        help="Where the descriptors go: faiss, a file of the index; or milvus://HOST:19530/NAME, a Milvus server or"
        " cluster (needs daco-serve\\[milvus]).",
        show_default="where the index has them, faiss for a new one",
    ),
]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="What queries are computed in, where it is proved on the photographs to cost at most half a point of"
        " recall, else the next best; auto: the fastest that is. The photographs themselves always are in fp32."
        " int8 needs daco-serve\\[int8].",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
KEEP = 2  # index.generations.KEPT, without its imports


class GpuUse(StrEnum):
    """Whether the index is to be on a GPU."""

    auto = "auto"
    on = "on"
    off = "off"


GpuOption = Annotated[
    GpuUse,
    typer.Option("--gpu", help="Whether the index is on a GPU; auto, where there is one and the index is large."),
]
