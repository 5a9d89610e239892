"""Deletes photographs that were made for an index when no generation uses them any more.

Frames of recordings and views of panoramas are in folders of their own below `INDEX/photographs/`. A folder is used by
the generations whose catalogue has photographs in it, and by those with it as a source, which `update` scans again.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from daco_core.errors import DacoError
from daco_index.generations.manifest import MANIFEST_FILE, parse_manifest
from daco_index.search.catalog import CATALOG_FILE, Catalog

REMOVED = ".removed"  # suffix of a folder that is being deleted


def delete_unused(photographs: Path, going: Path, staying: Sequence[Path]) -> None:
    """Deletes the folders that only a generation uses that is about to be deleted.

    Folders that no generation ever used stay: they belong to a build that has not finished. If a manifest or catalogue
    cannot be read, nothing is deleted. A crash leaves complete folders, or ones that `finish_deletion` finds.

    Args:
        photographs: `INDEX/photographs`.
        going: the folder of the generation that is about to be deleted.
        staying: the folders of the others.
    """
    if not photographs.is_dir():
        return
    with suppress(DacoError, OSError):
        unused = _used_by(going, photographs)
        for generation in staying if unused else ():
            unused -= _used_by(generation, photographs)
        for name in unused:
            doomed = photographs / f".{name}.{uuid4().hex[:8]}{REMOVED}"
            (photographs / name).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def finish_deletion(photographs: Path) -> None:
    """Finishes deletions that a killed process had begun."""
    for doomed in photographs.glob(f".*{REMOVED}"):
        shutil.rmtree(doomed, ignore_errors=True)


def _used_by(generation: Path, photographs: Path) -> set[str]:
    """The names of the folders that a generation uses. Raises DamagedIndex, OSError."""
    manifest_file = generation / MANIFEST_FILE
    manifest = parse_manifest(manifest_file.read_bytes(), manifest_file)
    base = photographs.resolve()
    paths = [*(record.name for record in manifest.sources), *Catalog(generation / CATALOG_FILE).paths_below(str(base))]
    inside = [Path(path).relative_to(base) for path in paths if Path(path).is_relative_to(base)]
    return {path.parts[0] for path in inside if path.parts and (base / path.parts[0]).is_dir()}
