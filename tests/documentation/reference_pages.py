"""Generates the pages of docs/reference for the command line and the server's settings.

`python -m tests.documentation.reference_pages` writes them again; a test fails where they are not up to date.
"""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from daco_serve.operation.settings import ServeSettings

from .checks import PROJECT, ours
from .pages import ROOT

NOTE = "<!-- Made by `python -m tests.documentation.reference_pages` from the program itself: do not edit by hand. -->"
COMMAND_LINE = """# The command line

{note}

Every command explains itself with `--help`, and prints its version with `--version`. Options of several words may be
written with dashes or underscores. Where a command has `--json`, it prints its result as JSON on standard output.
A command that fails prints one sentence that says why, and ends with an exit code other than 0.

{commands}
"""
SETTINGS = """# The settings of the server

{note}

`daco-serve run` takes each setting from its option, else from its environment variable, else from its default.
An empty variable counts as not set. In variables, several values are separated by commas.

| variable | option | default | meaning |
|---|---|---|---|
{rows}
"""


KINDS = {int: "INTEGER", float: "NUMBER", Path: "PATH"}


def made_pages() -> dict[Path, str]:
    """Path to text of every page that is made from the program."""
    folder = ROOT / "docs" / "reference"
    commands = "\n\n".join(text for name in PROJECT["scripts"] for text in _sections(name, ours(name)))
    return {
        folder / "command-line.md": COMMAND_LINE.format(note=NOTE, commands=commands),
        folder / "settings.md": SETTINGS.format(note=NOTE, rows="\n".join(_settings())),
    }


def _sections(name: str, command: Any) -> Iterator[str]:
    """A section for a command, then one for each of its subcommands."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    shown = [option for option in options if option.name not in ("help", "version", "show") and not option.hidden]
    usage = " ".join([name, *(_metavar(argument) for argument in arguments)])
    lines = [f"{'##' if ' ' not in name else '###'} {usage}", "", _help(command.help or "")]
    if shown:
        lines += ["", "| option | value | default | meaning |", "|---|---|---|---|"]
        lines += [_option(option) for option in shown]
    yield "\n".join(lines)
    for below, subcommand in getattr(command, "commands", {}).items():
        yield from _sections(f"{name} {below}", subcommand)


def _metavar(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    if argument.nargs != 1 and not shown.endswith("..."):
        shown += "..."
    return shown if argument.required else f"[{shown}]"


def _value(option: Any) -> str:
    """What kind of value an option takes: `PATH`, or the words to choose from."""
    if option.metavar:
        return f"`{option.metavar}`"
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    (kind, *_) = [part for part in get_args(kind) if part is not type(None)] or [kind]
    return f"`{KINDS.get(kind, 'TEXT')}`"


def _help(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(text).replace("\b", "").split("\n\n")]
    examples = [re.sub(r"^Example: (.+)$", r"Example: `\1`", part) for part in paragraphs]
    return "\n\n".join(part.replace("<", r"\<") if "`" not in part else part for part in examples)


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (option.opts[0], *option.secondary_opts))
    value = "" if option.is_flag else _value(option)
    if isinstance(option.show_default, str):
        default = option.show_default
    elif option.required:
        default = "required"
    elif option.is_flag or option.default is None or callable(option.default) or option.default in ((), ""):
        default = ""
    else:
        default = f"`{option.default.value if isinstance(option.default, Enum) else option.default}`"
    cells = (names, value, default, " ".join((option.help or "").replace("\\[", "[").split()))
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _settings() -> Iterator[str]:
    options = {option.name: option for option in ours("daco-serve").commands["run"].params}
    for name, field in ServeSettings.model_fields.items():
        default = "required" if field.is_required() else _default(field.default)
        meaning = " ".join((field.description or "").split())
        yield f"| `DACO_{name.upper()}` | `{options[name].opts[0]}` | {default} | {meaning} |"


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    return f"`{value}`" if not isinstance(value, bool) else ("yes" if value else "no")


if __name__ == "__main__":
    for path, text in made_pages().items():
        path.write_text(text)
