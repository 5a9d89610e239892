"""360-degree panoramas among the references: each is replaced by perspective views in all directions."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.files import replace_folder
from daco_core.photographs.images import UnreadableImage
from daco_core.photographs.panoramas import Panorama, cut_views, looks_like_panorama, read_panorama
from daco_core.recordings.extraction import file_state, fingerprint
from daco_core.untrusted_text import printable
from daco_index.generations.folders import PHOTOGRAPHS, check_folder
from daco_index.references.find import Reference
from daco_index.search.catalog import Entry

Cut = Literal["marked", "shaped", "none"]
VIEWS = 8
QUALITY = 92  # of the JPEG files


@dataclass(frozen=True)
class PanoramaOptions:
    """Which photographs are cut as panoramas, and how.

    Args:
        cut: `marked` for those marked by their metadata; `shaped` also for those twice as wide as high; `none`.
        views: number of views for each, evenly spaced.
    """

    cut: Cut = "marked"
    views: int = VIEWS


def cut_panoramas(
    references: Sequence[Reference], index: Path, options: PanoramaOptions, progress: bool
) -> list[Reference]:
    """Replaces each panorama among the references by its views, which share its place and have their own headings.

    Views are files below `INDEX/photographs/`; existing ones are reused.

    Raises:
        UsageError: a panorama to be cut is in an object store, or `index` contains other files than an index.
        DacoError: the views cannot be written.
    """
    if options.cut == "none":
        return list(references)
    found: list[Reference] = []
    cut = 0
    for reference in tqdm(references, desc="panoramas", unit=" images", disable=not progress, delay=5, file=sys.stderr):
        if not isinstance(reference.path, Path):
            if options.cut == "shaped":
                raise UsageError(f"{reference.path} is in an object store, where panoramas are not cut: copy it first.")
            found.append(reference)
            continue
        panorama = read_panorama(reference.path, by_shape=options.cut == "shaped")
        views = [] if panorama is None else _views_of(reference, reference.path, panorama, index, options.views)
        cut += bool(views)
        found += views or [reference]
    if cut and progress:
        what = "1 panorama is" if cut == 1 else f"{cut} panoramas are"
        print(f"{what} cut into views: {index / PHOTOGRAPHS}", file=sys.stderr)
    return found


def uncut_panoramas(entries: Sequence[Entry]) -> list[str]:
    """Paths of the photographs that have the proportions of panoramas and were embedded uncut."""
    return [entry.path for entry in entries if looks_like_panorama(entry.width, entry.height)]


def _views_of(reference: Reference, path: Path, panorama: Panorama, index: Path, views: int) -> list[Reference]:
    """The views of a panorama, cut if necessary; none if it cannot be read, which embedding reports later."""
    try:
        folder = index.resolve() / PHOTOGRAPHS / f"{path.stem}-{views}-{fingerprint(file_state(path), panorama)}"
        if not folder.is_dir():
            check_folder(index)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replace_folder(folder) as fresh:
                for yaw, view in cut_views(path, panorama, views).items():
                    view.save(fresh / f"{path.stem}_{yaw:05.1f}.jpg", quality=QUALITY)
    except UnreadableImage:
        return []
    except OSError as error:
        raise DacoError(f"The views of {printable(str(path))} cannot be written: {reason_of(error)}.") from error
    middle = panorama.heading if reference.heading is None else reference.heading
    return [
        replace(
            reference,
            path=file,
            heading=None if middle is None else (middle + float(file.stem.rpartition("_")[2])) % 360,
        )
        for file in sorted(folder.iterdir())
    ]
