"""`daco-index`: parses, calls, prints; no logic."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from daco_core.console import new_app, option, run
from daco_core.index_argument import IndexCommand
from daco_core.option_groups import with_option_groups
from daco_core.photographs.formats import skipped_words
from daco_core.untrusted_text import printable
from daco_index.cli import changes as change_cli
from daco_index.cli import encoders as encoders_cli
from daco_index.cli import export as export_cli
from daco_index.cli import maintenance as keeping_cli
from daco_index.cli import search as search_cli
from daco_index.cli import tune as tune_cli
from daco_index.cli.changes import saying_what_is_left
from daco_index.cli.options import (
    KEEP,
    DataRoot,
    EmbeddingArguments,
    EngineName,
    GpuOption,
    GpuUse,
    ImageSize,
    Index,
    Json,
    Keep,
    PrecisionName,
    PrecisionOption,
    Source,
    SplitName,
    SplitOption,
    Store,
    wide_console,
)
from daco_index.cli.sources import SourceArguments, warn_of_panoramas
from daco_index.reranking.local_file import LOCAL_FILE
from daco_index.search.index_choice import RECALL, Search, SearchOptions, parse_size

if TYPE_CHECKING:
    from daco_index.generations.manifest import Manifest

# PyTorch and FAISS are imported only by the commands that need them, so that help appears quickly

app = new_app("Build, search, change and check indexes of reference photographs.")


app.add_typer(search_cli.app)
app.add_typer(change_cli.app)
app.add_typer(keeping_cli.app)
app.add_typer(export_cli.app)
app.add_typer(encoders_cli.app)
app.add_typer(tune_cli.app)


@app.command()
@with_option_groups
def build(
    source: Source,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the index; an existing index is replaced.")],
    encoder: Annotated[
        str,
        typer.Option(
            help="default, which ships with the package; a folder saved by daco-train; timm:NAME for a network "
            "with ImageNet weights; hf:OWNER/NAME\\[@REVISION] on the Hugging Face Hub (needs daco-serve\\[hf]);"
            " onnx:PATH; or, with --trust, megaloc, boq, salad, eigenplaces, cosplace and others that daco-index"
            " encoders lists, or torchhub:REPO:ENTRY for any third-party network."
        ),
    ] = "default",
    image_size: ImageSize = None,
    data_root: DataRoot = Path("data"),
    split: SplitOption = SplitName.all,
    embedding: EmbeddingArguments,
    keep: Keep = KEEP,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory that the search may use, such as 500MB or 4GB.", show_default="half of all"),
    ] = None,
    precision: PrecisionOption = PrecisionName.auto,
    recall: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Recall of the exact ten best matches that a search must reach; 1 for exact search."
        ),
    ] = RECALL,
    factory: Annotated[
        str | None,
        typer.Option("--index", help="Use this FAISS factory string, such as HNSW32,SQ8 or Flat."),
    ] = None,
    store: Store = None,
    no_local: Annotated[
        bool, option("no_local", "Store no local descriptors: saves 4 KB per photograph, disables re-ranking.")
    ] = False,
    small_local: Annotated[
        bool, option("small_local", "Store the local descriptors of half of the cells: 2.1 KB per photograph.")
    ] = False,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="Folder of up to 12 photographs that the web page offers to try; copied into the index.",
            show_default="those of the existing index, if any",
        ),
    ] = None,
    gpu: GpuOption = GpuUse.auto,
    reading: SourceArguments,
    as_json: Json = False,
) -> None:
    """Build an index of reference photographs.

    Positions are read from a CSV or GeoJSON file beside the photographs, else from file names such as
    @UTM_east@UTM_north@...@.jpg, else from EXIF. The photographs are not copied. Frames of a video are extracted to
    the folder photographs in the index.

    The index is published atomically at the end. If the build is stopped, the previous index stays in use, and the
    same command resumes. Photographs in an existing index of the same encoder are not embedded again.

    Small indexes are searched exactly. In large ones, a compressed index in memory selects candidates, which are
    ranked by their exact descriptors on disk. daco-index info shows the choice and its reason; daco-index tune
    optimises it with your own photographs.

    Example: daco-index build demo/day --encoder result/demo_daco --out maps/demo-day
    """
    searched = SearchOptions(recall, None if memory is None else parse_size(memory), factory, gpu.value)
    with saying_what_is_left(out):
        from daco_index.build import BuildOptions, build_index

        options = BuildOptions(
            batch_size=embedding.batch_size,
            device=embedding.device,
            strict=embedding.strict,
            trust=embedding.trust,
            image_size=image_size,
            on_ray=embedding.engine is EngineName.ray,
            precision=precision.value,
            local="none" if no_local else "half" if small_local else "all",
            data_root=data_root,
            split=split.value,
            keep=keep,
            search=searched,
            store=store,
            source=reading.parse_source(),
            samples=samples,
        )
        report = build_index(source, encoder, out, options)
    warn_of_panoramas(report, reading.panorama)
    manifest = report.manifest
    if as_json:
        print(json.dumps({"index": str(out), **asdict(report)}, indent=2, default=str))
        return
    known = report.found - len(report.unreadable) - report.embedded
    rate = f"{report.images_per_second:.1f} images/s" if report.embedded else ""
    reused = f"{known} embedded before" if known else ""
    details = "; ".join(filter(None, (rate, reused)))
    skipped = skipped_words(len(report.unreadable), report.other_files)
    print(
        f"{manifest.count} photographs{skipped}, {manifest.with_location} with a position, in {report.seconds:.1f} s"
        f"{f' ({details})' if details else ''}.\n"
        f"{manifest.search.reason}{found_sentence(manifest.search)}\n"
        f"Queries in {manifest.queries.precision}: {manifest.queries.reason}\n"
        f"{out} is generation {manifest.generation}. Try: daco-index search PHOTOGRAPH --index {out}"
    )


@app.command(cls=IndexCommand)
def info(
    index: Index,
    as_json: Json = False,
) -> None:
    """Print what an index contains: photographs, positions, encoder, type, date.

    Example: daco-index info maps/demo-day
    """
    from daco_index.search.bundle import read_manifest

    manifest = read_manifest(index)
    if as_json:
        print(manifest.as_json(), end="")
    else:
        wide_console().print(_info_table(manifest))


def main() -> None:
    """The command `daco-index`."""
    run(app)


def found_sentence(search: Search) -> str:
    """The measured recall of a search, and whether it reaches the requested one; empty if it was not measured."""
    measured = search.measured
    if measured is None:
        return ""
    parameters = ", ".join(f"{name} {value}" for name, value in search.parameters.items())
    missed = (
        ""
        if measured.recall >= search.requested.recall
        else f", not the requested {100 * search.requested.recall:g} %,"
    )
    return (
        f" With {parameters} it finds {100 * measured.recall:.1f} % of the exact ten best{missed} in"
        f" {measured.milliseconds:.2f} ms ({measured.queries} of {measured.query_source})."
    )


def _info_table(manifest: "Manifest") -> Table:
    bounds = manifest.bounds
    box = f"{bounds.south:.6f}, {bounds.west:.6f} to {bounds.north:.6f}, {bounds.east:.6f}" if bounds else "-"
    rows = {
        "photographs": f"{manifest.count}, {manifest.with_location} with a position",
        "latitudes, longitudes": box,
        "source": manifest.source,
        "encoder": f"{manifest.backbone}, fingerprint {manifest.encoder_fingerprint[:12]}",
        "descriptors": f"{manifest.dimension} numbers, {'in' if '://' in manifest.index else 'FAISS'} {manifest.index}",
        "search": f"{manifest.search.reason}{found_sentence(manifest.search)}",
        "queries": f"in {manifest.queries.precision}: {manifest.queries.reason}",
        "re-ranking": _local_sentence(manifest),
        "generation": str(manifest.generation),
        "created": manifest.created,
        "size": f"{manifest.bytes / 1e6:.1f} MB",
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, escape(printable(value)))
    return table


def _local_sentence(manifest: "Manifest") -> str:
    """The size of the local descriptors."""
    record = manifest.files.get(LOCAL_FILE)
    if record is None:
        return "none: the index has no local descriptors"
    each = record.bytes / max(manifest.count, 1)
    return f"by local descriptors, {record.bytes / 1e6:.1f} MB, {each / 1024:.1f} KB a photograph"
