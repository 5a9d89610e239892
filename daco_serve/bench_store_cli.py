"""`daco-bench store`: parses, calls, prints."""

from typing import Annotated

import typer

from training.console import new_app, option
from training.errors import DacoError

app = new_app("Measure where vectors are kept.")


@app.command()
def store(
    address: Annotated[str, typer.Argument(help="Of a Milvus server: milvus://HOST:19530/NAME.")],
    sizes: Annotated[str, option("sizes", "Descriptors in the index, such as 1e4,1e5.")] = "1e4,1e5",
    dimension: Annotated[int, option("dimension", "Numbers of a descriptor.", min=8)] = 256,
    as_json: Annotated[bool, option("json", "Print JSON.")] = False,
) -> None:
    """Milvus beside FAISS, on synthetic descriptors: writing, searching, and what a change costs, at each size.

    The collections that it makes are dropped in the end.

    Example: daco-bench store milvus://127.0.0.1:19530/bench --sizes 1e4,1e5,1e6
    """
    from daco_serve.benchmark.store_scale import run_stores, to_json, to_markdown
    from index.stores.address import MilvusAddress

    try:
        counts = [int(float(word)) for word in sizes.split(",")]
    except ValueError as error:
        raise DacoError(f"--sizes cannot be {sizes!r}: write it as 1e4,1e5.") from error
    rows = list(run_stores(MilvusAddress.parse(address), counts, dimension, lambda text: typer.echo(text, err=True)))
    print(to_json(rows) if as_json else to_markdown(rows))
