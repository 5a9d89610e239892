"""`daco-index`: parses, calls, prints; no logic."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.console import Trust, new_app, option, run
from training.errors import DacoError

if TYPE_CHECKING:
    from index.bundle import Match
    from index.manifest import Manifest

# the library (PyTorch, FAISS) is imported by the commands that need it, so that help comes at once

app = new_app("Make photographs of known places into a map, and look photographs up in it.")


class SplitName(StrEnum):
    """The parts of a data set."""

    all = "all"
    train = "train"
    val = "val"


Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes the GPU if there is one.")]


@app.command()
def build(
    source: Annotated[
        str,
        typer.Argument(
            help="The photographs: NAME/domain of a data set below the data root (tokyo/day, demo/domain_a), or any"
            " folder, taken with the folders in it."
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            help="A folder that daco-train saved; timm:NAME for a network as ImageNet leaves it; or, with --trust,"
            " torchhub:REPO:ENTRY for one of others, such as torchhub:gmberton/MegaLoc:get_trained_model."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the index; an index that is there is replaced.")],
    data_root: Annotated[Path, option("data_root", "The folder that holds the data sets.")] = Path("data"),
    split: Annotated[SplitName, typer.Option(help="The part of a data set to take.")] = SplitName.all,
    batch_size: Annotated[int, option("batch_size", "Photographs that the encoder takes at once.", min=1)] = 16,
    device: Device = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at an unreadable photograph instead of skipping it.")
    ] = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Build an index of reference photographs.

    Positions come from locations.csv beside the photographs, else from their EXIF GPS. The photographs stay where
    they are. The index is published as a whole at the end: if the build is stopped, the previous one goes on answering.

    Example: daco-index build demo/day --encoder result/demo_daco --out maps/demo-day
    """
    try:
        from index.build import build_index

        report = build_index(source, encoder, out, data_root, split.value, batch_size, device, strict, trust)
    except KeyboardInterrupt as error:
        print(f"\nStopped; {_state_of(out)}.", file=sys.stderr)
        raise typer.Exit(130) from error
    manifest = report.manifest
    if as_json:
        print(json.dumps({"index": str(out), **asdict(report)}, indent=2))
        return
    skipped = f", {len(report.unreadable)} unreadable skipped" if report.unreadable else ""
    print(
        f"{manifest.count} photographs{skipped}, {manifest.with_location} with a position, in {report.seconds:.1f} s"
        f" ({report.images_per_second:.1f} images/s).\n"
        f"{out} is generation {manifest.generation}. Try: daco-index search PHOTOGRAPH --index {out}"
    )


@app.command()
def info(
    index: Annotated[Path, typer.Argument(help="The folder of an index.")],
    as_json: Json = False,
) -> None:
    """Say what an index holds: how many photographs, where, of which encoder, made when.

    Example: daco-index info maps/demo-day
    """
    from index.bundle import read_manifest

    manifest = read_manifest(index)
    if as_json:
        print(manifest.as_json(), end="")
    else:
        _console().print(_info_table(manifest))


@app.command()
def search(
    image: Annotated[Path, typer.Argument(help="The photograph to look up.")],
    index: Annotated[Path, typer.Option(help="The folder of an index.")],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many matches to print.")] = 5,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Look a photograph up: the most similar reference photographs and where they were taken, the best first.

    Example: daco-index search night.jpg --index maps/demo-day -k 5
    """
    from index.bundle import Bundle
    from index.embed import TorchEngine
    from training.images import open_rgb

    photograph = open_rgb(image)
    bundle = Bundle.open(index, trust)
    vectors = TorchEngine(bundle.encoder, device).embed([photograph])
    matches = bundle.search(vectors, k)[0]
    if as_json:
        answer = {
            "image": str(image),
            "generation": bundle.generation,
            "matches": [_as_dict(match) for match in matches],
        }
        print(json.dumps(answer, indent=2))
    else:
        _console().print(_match_table(matches))


def main() -> None:
    """The command `daco-index`."""
    run(app)


def _state_of(index: Path) -> str:
    from index.generations import read_current

    try:
        return f"{index} is whole, at generation {read_current(index).generation}"
    except DacoError:
        return f"there is no index in {index} yet"


def _console() -> Console:
    """A console as wide as the terminal; wide enough for whole paths where the output goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=240)


def _info_table(manifest: "Manifest") -> Table:
    bounds = manifest.bounds
    box = f"{bounds.south:.6f}, {bounds.west:.6f} to {bounds.north:.6f}, {bounds.east:.6f}" if bounds else "-"
    rows = {
        "photographs": f"{manifest.count}, {manifest.with_location} with a position",
        "latitudes, longitudes": box,
        "source": manifest.source,
        "encoder": f"{manifest.backbone}, fingerprint {manifest.encoder_fingerprint[:12]}",
        "descriptors": f"{manifest.dimension} numbers, FAISS {manifest.index}",
        "generation": str(manifest.generation),
        "created": manifest.created,
        "size": f"{manifest.bytes / 1e6:.1f} MB",
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table


def _match_table(matches: "list[Match]") -> Table:
    table = Table()
    for name in ("rank", "place", "similarity", "latitude", "longitude", "heading", "file"):
        table.add_column(name, overflow="fold", justify="left" if name in ("place", "file") else "right")
    for match in matches:
        entry = match.entry
        table.add_row(
            str(match.rank),
            escape(entry.place),
            f"{match.similarity:.4f}",
            _number(entry.latitude, 6),
            _number(entry.longitude, 6),
            _number(entry.heading, 0),
            escape(entry.path),
        )
    return table


def _as_dict(match: "Match") -> dict[str, object]:
    entry = match.entry
    return {
        "rank": match.rank,
        "id": entry.id,
        "place": entry.place,
        "similarity": match.similarity,
        "latitude": entry.latitude,
        "longitude": entry.longitude,
        "heading": entry.heading,
        "file": entry.path,
    }


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
