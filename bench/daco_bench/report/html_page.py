"""An HTML page of tables and figures that needs no other files and no network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from daco_bench.speed.machine import in_words, machine
from daco_core.errors import DacoError, reason_of
from daco_core.files import write_text


@dataclass(frozen=True)
class Table:
    """A table; its first `words` columns contain text, the others numbers."""

    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 2


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: its heading.
        command: the command that made it.
        tables: shown one after the other.
        figures: SVG or img elements, shown after the tables.
        note: a sentence below the heading.
    """

    title: str
    command: str
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[str] = field(default_factory=tuple)
    note: str = ""


def render_report(title: str, sections: Sequence[Section]) -> str:
    """The page, with the machine and the time."""
    from jinja2 import Environment  # of the extra plot, which tables on a terminal do not need

    template = files("daco_bench.report").joinpath("report.html").read_text(encoding="utf-8")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(title=title, sections=sections, machine=in_words(machine()), now=now, version=version("daco-serve"))
    )


def write_page(file: Path, text: str) -> None:
    """Writes a text file atomically, into a folder that is created if it is missing.

    Raises:
        DacoError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise DacoError(f"{file} cannot be written: {reason_of(error)}.") from error
