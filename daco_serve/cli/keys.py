"""`daco-serve key`: creates, lists and removes API keys."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import new_app, option

if TYPE_CHECKING:
    from daco_serve.operation.keys import KeyFile

app = new_app("Create, list and remove API keys.")

Keys = Annotated[
    Path | None,
    option("keys", "File of keys.", envvar="DACO_KEYS", show_default="~/.config/daco-serve/keys.json"),
]


@app.command()
def add(name: Annotated[str, typer.Argument(help="Name of its owner, for the log.")], keys: Keys = None) -> None:
    """Create a key and print it. Only its hash is stored, so copy it now.

    Example: export DACO_KEY=$(daco-serve key add robot-3)
    """
    from rich.console import Console

    file = _file(keys)
    token = file.add(name)
    Console(stderr=True, soft_wrap=True).print(
        f"Created the key {name}; its hash is in {file.path}. Send it as 'Authorization: Bearer KEY', or set DACO_KEY"
        " for daco-serve query. It is shown only now:",
        highlight=False,
        markup=False,
    )
    print(token)


@app.command("list")
def show(keys: Keys = None) -> None:
    """List the names of the keys and when they were created."""
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "made")
    for key in _file(keys).read():
        table.add_row(key.name, f"{key.created:%Y-%m-%d %H:%M} UTC")
    Console().print(table)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Name of the key.")], keys: Keys = None) -> None:
    """Remove a key; running servers reject it within a second."""
    _file(keys).remove(name)
    print(f"Key {name} is no longer valid.")


def _file(path: Path | None) -> "KeyFile":
    from daco_serve.operation.keys import KeyFile, default_file

    return KeyFile(path or default_file())
