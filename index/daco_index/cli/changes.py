"""`daco-index` add, remove, update, rollback, generations: parses, calls, prints; no logic."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import Trust, new_app
from daco_core.errors import DacoError
from daco_core.index_argument import IndexCommand
from daco_core.option_groups import with_option_groups
from daco_core.photographs.formats import skipped_words
from daco_index.cli.options import (
    KEEP,
    DataRoot,
    EmbeddingArguments,
    Index,
    Json,
    Keep,
    Source,
    SplitName,
    SplitOption,
)
from daco_index.cli.sources import SourceArguments, warn_of_panoramas

if TYPE_CHECKING:
    from daco_index.build import BuildReport

app = new_app("Change an index.")


@app.command(cls=IndexCommand)
@with_option_groups
def add(
    index: Index,
    source: Source,
    *,
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    embedding: EmbeddingArguments,
    keep: Keep = KEEP,
    reading: SourceArguments,
    as_json: Json = False,
) -> None:
    """Add photographs to an index; those that it contains are not embedded again.

    Example: daco-index add maps/demo-day photographs/north
    """
    with saying_what_is_left(index):
        from daco_index.generations.change import add_photographs

        report = add_photographs(index, source, data_root, split.value, embedding.parse(), keep, reading.parse_source())
    warn_of_panoramas(report, reading.panorama)
    _print(index, report, as_json)


@app.command(cls=IndexCommand)
@with_option_groups
def update(
    index: Index,
    *,
    embedding: EmbeddingArguments,
    keep: Keep = KEEP,
    as_json: Json = False,
) -> None:
    """Scan the sources of an index again for new, changed and deleted files.

    Photographs removed with daco-index remove are not added again.

    Example: daco-index update maps/demo-day
    """
    with saying_what_is_left(index):
        from daco_index.generations.change import update_index

        report = update_index(index, embedding.parse(), keep)
    _print(index, report, as_json)


@app.command(cls=IndexCommand)
def remove(
    index: Index,
    place: Annotated[
        list[str] | None, typer.Option(help="Name of a place, with all its photographs; may be repeated.")
    ] = None,
    path: Annotated[list[str] | None, typer.Option(help="File of a photograph, or a folder; may be repeated.")] = None,
    number: Annotated[list[int] | None, typer.Option("--id", help="Id of a photograph; may be repeated.")] = None,
    trust: Trust = False,
    keep: Keep = KEEP,
    as_json: Json = False,
) -> None:
    """Remove photographs from an index; the files are not deleted.

    Example: daco-index remove maps/demo-day --place inn --path photographs/north
    """
    with saying_what_is_left(index):
        from daco_index.generations.change import remove_photographs

        manifest, gone = remove_photographs(index, place or [], path or [], number or [], keep, trust)
    if as_json:
        content = {"index": str(index), "manifest": asdict(manifest), "removed": [entry._asdict() for entry in gone]}
        print(json.dumps(content, indent=2))
    else:
        print(f"{len(gone)} removed; {index} is generation {manifest.generation} of {manifest.count} photographs.")


@app.command(cls=IndexCommand)
def rollback(
    index: Index,
    to: Annotated[int | None, typer.Option(help="Number of the generation; by default, the previous one.")] = None,
    trust: Trust = False,
    keep: Keep = KEEP,
    as_json: Json = False,
) -> None:
    """Restore an older generation: its content is published again under a new number.

    Example: daco-index rollback maps/demo-day --to 3
    """
    with saying_what_is_left(index):
        from daco_index.generations.rollback import roll_back

        manifest = roll_back(index, to, keep, trust)
    if as_json:
        print(manifest.as_json(), end="")
    else:
        print(f"{manifest.change}: {index} is generation {manifest.generation} of {manifest.count} photographs.")


@app.command(cls=IndexCommand)
def generations(index: Index, as_json: Json = False) -> None:
    """List the generations of an index and the commands that made them.

    Example: daco-index generations maps/demo-day
    """
    from daco_index.generations.rollback import list_generations

    kept = list_generations(index)
    if as_json:
        print(json.dumps([asdict(one) for one in kept], indent=2))
        return
    for one in kept:
        what = one.damage
        if one.manifest:
            manifest = one.manifest
            size = f"{manifest.bytes / 1e6:.1f} MB"
            what = f"{manifest.created}  {manifest.count} photographs  {size}  {manifest.change}"
        print(f"{one.generation}{' live' if one.live else '     '}  {what}")


@contextmanager
def saying_what_is_left(index: Path) -> Iterator[None]:
    """Turns Ctrl-C into a sentence about the state of the index, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt as error:
        from daco_index.generations.folders import embedded_folder, read_current

        try:
            state = f"{index} is intact, at generation {read_current(index).generation}"
        except DacoError:
            state = f"there is no index in {index} yet"
        resumable = embedded_folder(index).exists()
        kept = " Completed embeddings are kept for the next run of this command." if resumable else ""
        print(f"\nStopped; {state}.{kept}", file=sys.stderr)
        raise typer.Exit(130) from error


def _print(index: Path, report: "BuildReport", as_json: bool) -> None:
    manifest = report.manifest
    if as_json:
        print(json.dumps({"index": str(index), **asdict(report)}, indent=2, default=str))
        return
    skipped = skipped_words(len(report.unreadable), report.other_files)
    if not report.published:
        print(f"Nothing to change{skipped}: {index} stays at generation {manifest.generation}.")
        return
    print(
        f"{report.added} added, {report.removed} removed{skipped}; {report.embedded} of {report.found} had to be"
        f" embedded, in {report.seconds:.1f} s.\n"
        f"{index} is generation {manifest.generation} of {manifest.count} photographs."
    )
