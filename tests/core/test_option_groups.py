"""Groups of options that a command receives as one value."""

from dataclasses import dataclass, field
from typing import Annotated

import typer
from typer.testing import CliRunner

from daco_core.option_groups import with_option_groups


@dataclass(frozen=True)
class Side:
    metres: Annotated[int, typer.Option("--metres", help="How long it is.")] = 10


@dataclass(frozen=True)
class Area(Side):
    colours: Annotated[list[str], typer.Option("--colour", help="May be repeated.")] = field(default_factory=list)


def _app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @with_option_groups
    def show(
        name: Annotated[str, typer.Argument(help="Of the area.")],
        *,
        area: Area,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        """Show an area."""
        print(name.upper() if loud else name, area)

    return app


def test_a_command_receives_the_options_of_a_group_as_one_value() -> None:
    given = CliRunner().invoke(_app(), ["park", "--metres", "3", "--colour", "red", "--colour", "blue", "--loud"])
    assert given.output == "PARK Area(metres=3, colours=['red', 'blue'])\n"
    assert CliRunner().invoke(_app(), ["park"]).output == "park Area(metres=10, colours=[])\n"


def test_the_help_lists_a_groups_options_at_its_position_in_the_signature() -> None:
    help_page = CliRunner().invoke(_app(), ["--help"], terminal_width=100).output
    assert "Show an area." in help_page
    words = ("--metres", "How long it is.", "--colour", "--loud")
    assert sorted(words, key=help_page.index) == list(words)
