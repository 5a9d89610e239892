"""`daco-data prepare`: one command for each official download. Parses, calls, prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import new_app, option
from daco_core.option_groups import with_option_groups

if TYPE_CHECKING:
    from daco_training.datasets.prepare.placing import Plan

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


@dataclass(frozen=True)
class PlacingArguments:
    """How the photographs of a download become a data set: an option for each field."""

    data_root: DataRoot = Path("data")
    link: Link = False
    size: Size = None
    partial: Partial = False

    def carry_out(self, plan: "Plan", name: str) -> str:
        """Makes the data set `name`, and returns a summary. Raises DacoError."""
        from daco_training.datasets.prepare.report import carry_out

        return carry_out(plan, self.data_root / name, self.link, self.size, self.partial)


@app.command()
@with_option_groups
def tokyo(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "tokyo",
    *,
    placing: PlacingArguments,
) -> None:
    """Convert the Tokyo 24/7 query set (247query_v3): 300 pairs by day and night for training, 75 for validation."""
    from daco_training.datasets.prepare.tokyo import plan_tokyo

    typer.echo(placing.carry_out(plan_tokyo(archive), name))


@app.command()
@with_option_groups
def cityscapes(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "cityscapes",
    beta: Annotated[str, option("beta", "Density of the fog: 0.005, 0.01 or 0.02.")] = "0.02",
    *,
    placing: PlacingArguments,
) -> None:
    """Convert Cityscapes (leftImg8bit) and Foggy Cityscapes-DBF: 2975 pairs for training, 500 for validation."""
    from daco_training.datasets.prepare.cityscapes import plan_cityscapes

    typer.echo(placing.carry_out(plan_cityscapes(archive, beta), name))


@app.command()
@with_option_groups
def synthia(
    archive: Archive,
    name: Annotated[str, option("name", "Name of the new data set.")] = "synthia",
    holdout: Annotated[str, option("holdout", "Sequence for validation; all others are for training.")] = "02",
    *,
    placing: PlacingArguments,
) -> None:
    """Convert SYNTHIA-SEQS, SUNSET and RAINNIGHT of two or more sequences: 60 pairs of one are for validation."""
    from daco_training.datasets.prepare.synthia import plan_synthia

    typer.echo(placing.carry_out(plan_synthia(archive, holdout), name))
