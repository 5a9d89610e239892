"""Tables for the terminal and in Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def show(columns: Sequence[str], lines: Sequence[Sequence[str]], title: str) -> None:
    """Prints a table to the terminal."""
    table = Table(*columns, title=title, title_justify="left")
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def to_markdown(columns: Sequence[str], lines: Sequence[Sequence[str]], words: int = 2) -> str:
    """A table in Markdown; all columns except the first `words` are right-aligned."""
    rule = ["---" if number < words else "---:" for number in range(len(columns))]
    shown = [[cell.replace("<", "\\<").replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *shown))
