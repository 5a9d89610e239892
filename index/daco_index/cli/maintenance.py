"""`daco-index` verify, merge: parses, calls, prints; no logic."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import Trust, new_app
from daco_core.errors import UsageError
from daco_core.index_argument import IndexCommand
from daco_index.cli.changes import saying_what_is_left
from daco_index.cli.options import KEEP, Index, Json, Keep, Store

app = new_app("Verify and merge indexes.")


@app.command(cls=IndexCommand)
def verify(index: Index, trust: Trust = False, as_json: Json = False) -> None:
    """Check all generations of an index: checksums, counts, and that ids, rows and descriptors agree.

    Prints a list and exits with 1 if there is any fault.

    Example: daco-index verify maps/demo-day
    """
    from daco_index.generations.verify import verify_index

    checked = verify_index(index, trust)
    if as_json:
        print(json.dumps([asdict(one) for one in checked], indent=2))
    else:
        for one in checked:
            name = f"generation {one.generation}{' (live)' if one.live else ''}"
            print(f"{name}: {'damaged' if one.problems else f'intact, {one.count} photographs'}")
            for problem in one.problems:
                print(f"  {problem}")
    if any(one.problems for one in checked):
        raise typer.Exit(1)


@app.command(cls=IndexCommand)
def merge(
    indexes: Annotated[
        list[Path], typer.Argument(help="The folders of two indexes or more, of one encoder; or each as --index.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder; or that of the first index, to merge the others into it.")],
    trust: Trust = False,
    keep: Keep = KEEP,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Merge indexes without embedding again; photographs of the first one keep their ids.

    Example: daco-index merge maps/north maps/south --out maps/town
    """
    if len(indexes) < 2:
        raise UsageError("Name two indexes or more to merge.")
    with saying_what_is_left(out):
        from daco_index.generations.merge import merge_indexes

        manifest = merge_indexes(indexes, out, keep, trust, store)
    if as_json:
        print(manifest.as_json(), end="")
    else:
        print(f"{out} is generation {manifest.generation} of {manifest.count} photographs.")
