"""`daco-data prepare`: one command for each official download. Parses, calls, prints."""

from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import new_app, option

app = new_app("Turn an official download, as unpacked, into a data set: tokyo, cityscapes or synthia.")

DataRoot = Annotated[Path, option("data_root", "Folder that holds the data sets.")]
Archive = Annotated[Path, typer.Argument(help="The folder that the download was unpacked in.")]
Link = Annotated[
    bool,
    typer.Option("--link/--copy", help="Hard links instead of copies: no disk space, on the same disk only."),
]
Size = Annotated[
    int | None,
    option("size", "Scale photographs down to this shorter side, in pixels. Left out, they stay as they are.", min=16),
]
Partial = Annotated[bool, option("partial", "Go on with what is there when the download is not complete.")]


@app.command()
def tokyo(
    archive: Archive,
    name: Annotated[str, option("name", "What the data set is called below the data root.")] = "tokyo",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """The Tokyo 24/7 query set (247query_v3): 300 pairs of day and night to train on, 75 to validate."""
    from daco_training.datasets.prepare.report import carry_out
    from daco_training.datasets.prepare.tokyo import plan_tokyo

    typer.echo(carry_out(plan_tokyo(archive), data_root / name, link, size, partial))


@app.command()
def cityscapes(
    archive: Archive,
    name: Annotated[str, option("name", "What the data set is called below the data root.")] = "cityscapes",
    beta: Annotated[str, option("beta", "How dense the fog is: 0.005, 0.01 or 0.02.")] = "0.02",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """Cityscapes (leftImg8bit) and Foggy Cityscapes-DBF (leftImg8bit_foggyDBF): 2975 pairs train, 500 validate."""
    from daco_training.datasets.prepare.cityscapes import plan_cityscapes
    from daco_training.datasets.prepare.report import carry_out

    typer.echo(carry_out(plan_cityscapes(archive, beta), data_root / name, link, size, partial))


@app.command()
def synthia(
    archive: Archive,
    name: Annotated[str, option("name", "What the data set is called below the data root.")] = "synthia",
    holdout: Annotated[str, option("holdout", "The sequence that validates; all others train.")] = "02",
    data_root: DataRoot = Path("data"),
    link: Link = False,
    size: Size = None,
    partial: Partial = False,
) -> None:
    """SYNTHIA-SEQS, SUNSET and RAINNIGHT of two sequences or more: 60 pairs of the held-out one validate."""
    from daco_training.datasets.prepare.report import carry_out
    from daco_training.datasets.prepare.synthia import plan_synthia

    typer.echo(carry_out(plan_synthia(archive, holdout), data_root / name, link, size, partial))
