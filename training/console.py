"""What every command of ours does alike: a user's mistake in one sentence, both spellings of an option."""

import sys
from typing import Annotated, Any

import typer

from training.errors import DacoError


def run(app: typer.Typer) -> None:
    """Runs a Typer app as a command: a `DacoError` is one sentence on stderr and exit code 1, Ctrl-C is 130."""
    try:
        app()
    except DacoError as error:
        sys.exit(f"Error: {error}")


def option(name: str, help: str, *more: str, **settings: Any) -> Any:
    """A Typer option under its name with dashes and with underscores: `--data-root` and `--data_root`."""
    spellings = dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name.replace('-', '_')}"])
    return typer.Option(*spellings, *more, help=help, **settings)


Trust = Annotated[
    bool, option("trust", "Run the code of others that a torchhub: encoder comes with; it can do all that you can do.")
]
"""The option of every command that may load an encoder from torch.hub."""


def new_app(help: str) -> typer.Typer:
    """A Typer app in our style: help without arguments, plain errors."""
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
