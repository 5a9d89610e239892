"""The index of a command is its first argument or `--index`, with the same result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from daco_core.console import new_app
from daco_core.index_argument import IndexCommand

from ..documentation.checks import PROJECT, ours

# where --index means something else: FAISS's name for one; which of a server's; all that a server answers from
OTHERS = {"daco-index build", "daco-serve query", "daco-serve track", "daco-serve run", "daco-bench serve"}


@pytest.fixture
def app() -> typer.Typer:
    """An app that prints what it was given."""
    made = new_app("An app.")

    @made.command(cls=IndexCommand)
    def add(index: Path, source: str, place: list[str] | None = None, fast: bool = False) -> None:
        print(index, source, place or [], fast)

    @made.command(cls=IndexCommand)
    def info(index: Path) -> None:
        print(index)

    @made.command(cls=IndexCommand)
    def merge(indexes: list[Path], out: Annotated[Path, typer.Option()] = Path("o")) -> None:
        print(*indexes, out)

    return made


def said(app: typer.Typer, *words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output.strip()


def refusal(app: typer.Typer, *words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "words",
    [
        ["maps/a", "north"],
        ["--index", "maps/a", "north"],
        ["north", "--index", "maps/a"],
        ["north", "--index=maps/a"],
    ],
)
def test_the_index_is_the_first_argument_or_an_option_anywhere(app, words):
    assert said(app, "add", *words) == "maps/a north [] False"
    assert said(app, "add", "--fast", *words, "--place", "--index") == "maps/a north ['--index'] True"


def test_several_indexes_can_be_given_as_arguments_or_options(app):
    assert said(app, "merge", "a", "b", "--out", "c") == "a b c"
    assert said(app, "merge", "--index", "a", "--out", "c", "--index=b") == "a b c"


def test_an_argument_after_two_dashes_is_no_option(app):
    assert said(app, "add", "--index", "a", "--", "--index") == "a --index [] False"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["info", "a", "--index", "b"], "Name the index once: as the first argument or with --index."),
        (["add", "a", "north", "--index", "b"], "Name the index once: as the first argument or with --index."),
        (["info", "--index", "a", "--index", "b"], "Name the index once: as the first argument or with --index."),
        (["merge", "a", "--index", "b"], "Name the indexes all as arguments, or all with --index."),
        (["info", "--index"], "Option '--index' requires an argument."),
        (["info"], "Missing argument"),
        (["add", "--index", "a"], "Missing argument"),
    ],
)
def test_a_missing_index_and_an_index_given_twice_are_reported_in_one_sentence(app, words, sentence):
    assert sentence in refusal(app, *words)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {below}")


@pytest.mark.parametrize("program", PROJECT["scripts"])
def test_every_command_accepts_the_index_both_ways_with_the_same_help(program: str) -> None:
    helps = set()
    for name, command in commands(ours(program), program):
        takes_option = any("--index" in parameter.opts for parameter in command.params)
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        takes_position = bool(arguments) and arguments[0].name in ("index", "indexes")
        if name not in OTHERS:
            assert takes_option == takes_position == isinstance(command, IndexCommand), name
        if takes_position and arguments[0].name == "index":
            helps.add(arguments[0].help)
    assert len(helps) <= 1
