"""What all commands have in common: errors in one sentence, and both spellings of an option."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from daco_core.errors import DacoError, UsageError
from daco_core.extras import missing_package
from daco_core.untrusted_text import printable

PICTURES = (".png", ".jpg", ".jpeg")  # suffixes of pictures, for `check_output`


def run(app: typer.Typer) -> None:
    """Runs a Typer app as a command. A `DacoError` becomes one sentence on stderr and exit code 1; Ctrl-C gives 130.

    A missing package that an extra of daco-serve would install is reported in the same way.
    """
    command = typer.main.get_command(app)
    command.params.append(_version_option())
    try:
        command()
    except DacoError as error:
        sys.exit("\n".join(map(printable, f"Error: {error}".split("\n"))))
    except ImportError as error:
        if (sentence := missing_package(error)) is None:
            raise
        sys.exit(f"Error: {sentence}")


def _version_option() -> Any:
    """The option `--version`, for commands whose own functions do not have it."""
    donor = typer.Typer(add_completion=False)

    @donor.command()
    def show(
        version: Annotated[
            bool,
            typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version),
        ] = False,
    ) -> None: ...

    (parameter,) = typer.main.get_command(donor).params
    parameter.expose_value = False
    return parameter


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"daco-serve {version('daco-serve')}")
        raise typer.Exit


def option(name: str, help: str, *more: str, **settings: Any) -> Any:
    """A Typer option under its name with dashes and with underscores: `--data-root` and `--data_root`."""
    spellings = dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name.replace('-', '_')}"])
    return typer.Option(*spellings, *more, help=help, **settings)


def words(text: str) -> list[str]:
    """Splits a comma-separated list; empty items are dropped."""
    return [word.strip() for word in text.split(",") if word.strip()]


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """`1,2,4,8` to (1, 2, 4, 8).

    Raises:
        UsageError: it is not a list of whole numbers.
    """
    try:
        return tuple(map(int, words(text)))
    except ValueError as error:
        raise UsageError(f"{name} takes whole numbers, such as 0 1 or 0,1; not {text!r}.") from error


def number(value: float | None, decimals: int) -> str:
    """A number as a table cell; `-` if it is None."""
    return "-" if value is None else f"{value:.{decimals}f}"


def check_output(name: str, file: Path, suffixes: Sequence[str] = (), in_new_folder: bool = False) -> None:
    """Checks, before any long work starts, that a file can be written at its end, as far as that can be told.

    Args:
        name: of the option that names the file, for the message.
        suffixes: it must have one of these; any, if there are none.
        in_new_folder: whether the command creates missing folders.

    Raises:
        UsageError: it has another suffix, or is a folder.
        DacoError: there is no folder for it, or no permission to write there.
    """
    if suffixes and file.suffix.lower() not in suffixes:
        known = " or ".join(filter(None, [", ".join(suffixes[:-1]), suffixes[-1]]))
        raise UsageError(f"{name} must end in {known}; {file} does not.")
    if file.is_dir():
        raise UsageError(f"{name} must name a file; {file} is a folder.")
    folder = file.absolute().parent
    while in_new_folder and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise DacoError(f"{file} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DacoError(f"{file} cannot be written: there is no permission to write to {folder}.")


Trust = Annotated[
    bool, option("trust", "Allow torchhub: encoders to execute their third-party code, with your permissions.")
]
"""The option of every command that may load an encoder from torch.hub."""


def new_app(help: str) -> typer.Typer:
    """A Typer app with what all commands share: help if called without arguments, and errors in plain text."""
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
