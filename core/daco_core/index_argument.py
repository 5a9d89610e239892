"""The index that a command works on: every command takes it as the first argument or with `--index`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

INDEX_HELP = "The folder of an index; it may be given as --index instead."


class IndexCommand(TyperCommand):
    """A command whose first argument is the index, which may be given as `--index` instead.

    `daco-index add maps/mine photographs` and `daco-index add photographs --index maps/mine` are the same. If the first
    argument takes several indexes, `--index` may be repeated.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params.append(_index_option())

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves the values of `--index` to the position of the first argument."""
        slots = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        named, positions, rest = self._split(args)
        several = slots[0].nargs != 1
        bounded = all(slot.nargs == 1 for slot in slots)
        if named and not several and (len(named) > 1 or (bounded and len(named) + positions > len(slots))):
            ctx.fail("Name the index once: as the first argument or with --index.")
        if named and several and positions:
            ctx.fail("Name the indexes all as arguments, or all with --index.")
        return super().parse_args(ctx, [*named, *rest])

    def _split(self, args: list[str]) -> tuple[list[str], int, list[str]]:
        """Returns the values of `--index`, the number of positional arguments, and the words without `--index`."""
        taking = {
            name
            for parameter in self.params
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for name in parameter.opts
        }
        named: list[str] = []
        rest: list[str] = []
        positions = 0
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if word == "--":
                left = list(words)
                positions += len(left)
                rest += [word, *left]
            elif name == "--index" and equals:
                named.append(value)
            elif word == "--index":
                found = next(words, None)
                rest += [word] if found is None else []  # the parser reports that its value is missing
                named += [] if found is None else [found]
            elif word in taking:
                rest += [word, *([found] if (found := next(words, None)) is not None else [])]
            else:
                positions += not word.startswith("-") or word == "-"
                rest.append(word)
        return named, positions, rest


def _index_option() -> Any:
    """The option `--index` as Typer creates it, to be copied into a command."""
    donor = typer.Typer(add_completion=False)

    @donor.command()
    def show(
        index_option: Annotated[
            Path | None, typer.Option("--index", help="The folder of an index, in place of the first argument.")
        ] = None,
    ) -> None: ...

    (parameter,) = (one for one in typer.main.get_command(donor).params if one.name == "index_option")
    parameter.expose_value = False
    return parameter
