"""`daco-index export`: parses, calls, prints; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from daco_core.console import Trust, check_output, new_app, option
from daco_core.errors import UsageError
from daco_core.index_argument import IndexCommand
from daco_index.cli.options import Index

app = new_app("Export an index.")


@app.command(cls=IndexCommand)
def export(
    index: Index,
    geojson: Annotated[Path | None, typer.Option(help="GeoJSON file for the catalogue.")] = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Parquet file for catalogue and descriptors; needs daco-serve\\[parquet].")
    ] = None,
    npz: Annotated[Path | None, typer.Option(help="NumPy file (.npz): descriptors, names, positions.")] = None,
    hloc: Annotated[
        Path | None,
        typer.Option(
            help="Folder for hloc: global-feats-daco.h5 with the descriptors, and pairs-daco.txt; needs"
            " daco-serve\\[hloc]."
        ),
    ] = None,
    colmap: Annotated[
        Path | None, typer.Option(help="Match list for COLMAP's matches_importer (--match_type pairs).")
    ] = None,
    kapture: Annotated[
        Path | None,
        typer.Option(help="New folder for a kapture: photographs (linked), positions, descriptors, pairs."),
    ] = None,
    pairs: Annotated[
        int, option("pairs", "Most similar others that --hloc, --colmap and --kapture pair a photograph with.", min=1)
    ] = 20,
    trust: Trust = False,
) -> None:
    """Export an index for other programs.

    --hloc, --colmap and --kapture call photographs by their paths below the folder that was indexed: give these
    programs the same folder. For pairs of query photographs, see daco-index search --pairs.

    Example: daco-index export maps/demo-day --geojson demo-day.geojson --parquet demo-day.parquet
    """
    from daco_index.export.reconstruction import export_colmap, export_hloc, export_kapture
    from daco_index.export.tables import export_geojson, export_npz, export_parquet
    from daco_index.search.bundle import Bundle

    if all(target is None for target in (geojson, parquet, npz, hloc, colmap, kapture)):
        raise UsageError(
            "Name what to write, one or several: --geojson FILE, --parquet FILE, --npz FILE, --hloc FOLDER,"
            " --colmap FILE, --kapture FOLDER."
        )
    if npz is not None:
        check_output("--npz", npz, (".npz",))
    bundle = Bundle.open(index, trust)
    count = f"{bundle.manifest.count} photographs"
    if geojson is not None:
        export_geojson(bundle, geojson)
        print(f"{geojson}: {count}.")
    if parquet is not None:
        export_parquet(bundle, parquet)
        print(f"{parquet}: {count} with their descriptors.")
    if npz is not None:
        export_npz(bundle, npz)
        print(f"{npz}: {count} with their descriptors.")
    if hloc is not None:
        export_hloc(bundle, hloc, pairs)
        print(f"{hloc}: {count} with their descriptors, each paired with the {pairs} most similar others at most.")
    if colmap is not None:
        print(f"{colmap}: {export_colmap(bundle, colmap, pairs)} pairs of {count}.")
    if kapture is not None:
        export_kapture(bundle, kapture, pairs)
        print(f"{kapture}: {count} with their descriptors, each paired with the {pairs} most similar others at most.")
