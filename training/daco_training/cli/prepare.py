"""`daco-data prepare`: one command for each official download. Parses, calls, prints."""

from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option

app = new_app("Convert an unpacked official download into a data set: tokyo, cityscapes or synthia.")

DataRoot = Annotated[Path, option("data_root", "Folder of the data sets.")]
Archive = Annotated[Path, typer.Argument(help="Folder of the unpacked download.")]
Link = Annotated[
    bool,
    typer.Option("--link/--copy", help="Create hard links instead of copies; on the same disk only."),
]
Size = Annotated[
    int | None,
    option("size", "Scale photographs down to this shorter side, in pixels; by default they are not scaled.", min=16),
]
Partial = Annotated[bool, option("partial", "Continue with the existing files if the download is incomplete.")]


@app.command()
def tokyo(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "tokyo",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """Convert the Tokyo 24/7 query set (247query_v3): 300 pairs by day and night for training, 75 for validation."""
    from daco_training.datasets.prepare.report import carry_out
    from daco_training.datasets.prepare.tokyo import plan_tokyo

    typer.echo(carry_out(plan_tokyo(archive), data_root / name, link, size, partial))


@app.command()
def cityscapes(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "cityscapes",
    beta: Annotated[str, option("beta", "Density of the fog: 0.005, 0.01 or 0.02.")] = "0.02",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """Convert Cityscapes (leftImg8bit) and Foggy Cityscapes-DBF: 2975 pairs for training, 500 for validation."""
    from daco_training.datasets.prepare.cityscapes import plan_cityscapes
    from daco_training.datasets.prepare.report import carry_out

    typer.echo(carry_out(plan_cityscapes(archive, beta), data_root / name, link, size, partial))


@app.command()
def synthia(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "synthia",
    holdout: Annotated[str, option("holdout", "Sequence for validation; all others are for training.")] = "02",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """Convert SYNTHIA-SEQS, SUNSET and RAINNIGHT of two or more sequences: 60 pairs of one are for validation."""
    from daco_training.datasets.prepare.report import carry_out
    from daco_training.datasets.prepare.synthia import plan_synthia

    typer.echo(carry_out(plan_synthia(archive, holdout), data_root / name, link, size, partial))
