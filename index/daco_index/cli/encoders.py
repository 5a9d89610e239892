"""`daco-index encoders`: parses, calls, prints; no logic."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from daco_core.console import Trust, new_app
from daco_core.encoder.public import PUBLIC_ENCODERS
from daco_core.errors import UsageError
from daco_index.cli.options import ImageSize, Json, wide_console

app = new_app("List and save public encoders.")


@app.command()
def encoders(
    name: Annotated[str | None, typer.Argument(help="An encoder to save: any name that build --encoder takes.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="New folder for the encoder NAME, to be copied to a machine without a network.")
    ] = None,
    image_size: ImageSize = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """List the public encoders that have a short name, with size, licence and input; or save one as a folder.

    An encoder is fetched, and exported to ONNX, when it is first used; --trust consents to the execution of its
    authors' code. What was exported is kept in the cache (DACO_CACHE) and runs without PyTorch.

    Example: daco-index encoders

    Example: daco-index encoders megaloc --save encoders/megaloc --trust
    """
    if (name is None) != (save is None):
        raise UsageError("Name both an encoder and the folder to save it in: daco-index encoders NAME --save FOLDER.")
    if name is not None and save is not None:
        from daco_index.embedding.encoders import save_encoder

        encoder = save_encoder(name, save, trust, image_size)
        runs = "ONNX" if encoder.network else "PyTorch only"
        print(
            f"{save}: {encoder.name}, {encoder.dimension} numbers, {runs}. Try: daco-index build ... --encoder {save}"
        )
        return
    if as_json:
        listed = [asdict(encoder) | {"source": encoder.source} for encoder in PUBLIC_ENCODERS.values()]
        print(json.dumps(listed, indent=2))
        return
    table = Table(title="Public encoders; each takes --trust when it is first used", title_justify="left")
    for heading in ("name", "dimension", "MB", "image size", "licence", "paper", "source"):
        table.add_column(heading, justify="right" if heading in ("dimension", "MB", "image size") else "left")
    for public in PUBLIC_ENCODERS.values():
        size = f"{public.image_size}{'' if public.resize == 'square' else ' (shorter side)'}"
        numbers = str(public.dimension), str(public.megabytes), size
        table.add_row(public.name, *numbers, public.licence, public.paper, public.source)
    wide_console().print(table)
