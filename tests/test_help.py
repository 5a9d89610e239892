"""The help of every command, as displayed."""

from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text

from .documentation.checks import PROJECT, ours


def texts(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """What each command and each of its options says of itself, under its name."""
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.opts[0]}", getattr(parameter, "help", None) or ""
    for below, one in getattr(command, "commands", {}).items():
        yield from texts(one, f"{name} {below}")


@pytest.mark.parametrize("program", PROJECT["scripts"])
def test_help_texts_show_what_they_have_in_square_brackets(program: str) -> None:
    said = dict(texts(ours(program), program))
    assert len(said) > 10
    for name, text in said.items():
        assert Text.from_markup(text).plain == text.replace("\\[", "["), name
