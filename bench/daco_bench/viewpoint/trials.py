"""The trials: queries from changed viewpoints, each with a known change, against the same references."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from daco_bench.recall.reranked import open_photograph
from daco_bench.recall.task import Task, find_task, frames_task
from daco_bench.viewpoint.warps import AMOUNTS, REFERENCE, Warp
from daco_core.errors import NotFound, UsageError
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_core.photographs.pairing import pair_by_name
from daco_training.city.make import VIEWPOINT_FOLDER

SHARPER = 4  # times the encoder's size at which a photograph is opened, because a window is only a part of it


@dataclass(frozen=True)
class Change:
    """The difference between the cameras of query and reference.

    Args:
        kind: moved, turned, moved and turned; or a warp's.
        amount: metres if the camera moved, else degrees; or the amount of a warp.
        words: a description of both: `5 m, 30 degrees`.
    """

    kind: str
    amount: float
    words: str


UNCHANGED = Change("none", 0.0, "unchanged")


@dataclass(frozen=True)
class Trial:
    """One measurement: the queries of a task, under one condition, with one change of viewpoint.

    Args:
        change: of the queries.
        condition: of the queries and the references: `night->day`.
        task: with a single direction; its references are the same in all trials.
        open_query: returns the image of a query, from its file, its number and the encoder's size.
    """

    change: Change
    condition: str
    task: Task
    open_query: Callable[[Path, int, int], Image.Image]


@dataclass(frozen=True)
class Trials:
    """All trials of a measurement.

    Args:
        title: a description.
        references: the files.
        open_reference: returns the image of a reference, from its file and the encoder's size.
    """

    title: str
    references: list[Path]
    open_reference: Callable[[Path, int], Image.Image]
    trials: list[Trial]


def city_trials(dataset: DataSet, split: str = "val", references: str | None = None) -> Trials:
    """The viewpoints of a rendered city in each condition, against the originals of one; the same place is right.

    Args:
        references: the condition of the references; by default the first.

    Raises:
        DacoError: it was rendered without viewpoints, or a folder is incomplete.
    """
    domain = dataset.domains[0] if references is None else dataset.find_domain(references)
    viewpoints = {
        path.name: _named_change(path.name) for path in sorted((dataset.folder / VIEWPOINT_FOLDER).glob("*_*"))
    }
    changes = sorted(
        ((change, name) for name, change in viewpoints.items() if change is not None),
        key=lambda pair: (pair[0].kind, pair[0].amount, pair[0].words),
    )
    if not changes:
        raise NotFound(
            f"{dataset.folder} was rendered without other viewpoints: daco-data demo --viewpoint 5,30 adds them."
        )
    database = dataset.split_folder(domain, split)
    trials = []
    for asking in dataset.domains:
        names = dataset.domain_names
        condition = f"{names.get(asking, asking)}->{names.get(domain, domain)}"
        kinds = [(UNCHANGED, "original")] if asking != domain else []
        for change, kind in [*kinds, *((change, f"{VIEWPOINT_FOLDER}/{name}") for change, name in changes)]:
            queries = dataset.split_folder(asking, split, kind)
            if pair_by_name(dataset.images(domain, split), dataset.images(asking, split, kind)) is None:
                raise UsageError(
                    f"{queries} does not have the places of {database}: finish it with daco-data demo, --viewpoint and"
                    f" --viewpoint-split."
                )
            trials.append(Trial(change, condition, frames_task(database, queries, 0), _open_whole))
    title = f"{dataset.name} from other viewpoints, the same place"
    return Trials(title, trials[0].task.images[: len(dataset.images(domain, split))], open_photograph, trials)


def photograph_trials(
    database: Path, queries: Path | None = None, metres: float | None = None, frames: int | None = None
) -> Trials:
    """Photographs whose queries are warped by known amounts.

    Args:
        queries: the photographs to warp; by default those of the database, for which only the same photograph is right
            if neither metres nor frames are given.
        metres, frames: see `find_task`.

    Raises:
        DacoError: see `find_task`.
    """
    if queries is None and metres is None and frames is None:
        frames = 0
    task = find_task(database=database, queries=queries or database, metres=metres, frames=frames)
    (direction,) = task.directions
    condition = direction if queries is not None else f"{database.name} in itself"
    changes = [UNCHANGED] if queries is not None else []
    changes += [Change(kind, amount, _words(kind, amount)) for kind, amounts in AMOUNTS.items() for amount in amounts]
    trials = [Trial(change, condition, task, _warp(change)) for change in changes]
    references = [task.images[row] for row in task.directions[direction][1]]
    return Trials(f"{task.title}, the middle of each photograph", references, _open_window, trials)


def _named_change(name: str) -> Change | None:
    found = re.fullmatch(r"([\d.]+)m_([\d.]+)deg", name)
    if found is None:
        return None
    metres, degrees = map(float, found.groups())
    kind = " and ".join(word for word, amount in (("moved", metres), ("turned", degrees)) if amount) or "none"
    parts = [f"{metres:g} m"] * (metres > 0) + [f"{degrees:g} degrees"] * (degrees > 0)
    return Change(kind, metres or degrees, ", ".join(parts) or "0 m")


def _words(kind: str, amount: float) -> str:
    unit = {"shift": f"{amount:g} % sideways", "zoom": f"zoom {amount:g}", "oblique": f"oblique {amount:g} degrees"}
    return unit.get(kind, f"roll {amount:g} degrees")


def _warp(change: Change) -> Callable[[Path, int, int], Image.Image]:
    def open_query(file: Path, number: int, size: int) -> Image.Image:
        photograph = open_rgb(file, SHARPER * size)
        if change is UNCHANGED:
            return REFERENCE.apply(photograph)
        way = 1 if change.kind == "zoom" or number % 2 else -1  # alternating sides
        return Warp(change.kind, way * change.amount).apply(photograph)

    return open_query


def _open_window(file: Path, size: int) -> Image.Image:
    return REFERENCE.apply(open_rgb(file, SHARPER * size))


def _open_whole(file: Path, _: int, size: int) -> Image.Image:
    return open_photograph(file, size)
