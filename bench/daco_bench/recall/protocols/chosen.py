"""Selects the benchmark of a command line: a data set, two folders, a published protocol, or a table of truth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daco_bench.recall.protocols.published import find_protocol
from daco_bench.recall.protocols.published_task import published_task
from daco_bench.recall.protocols.truth import truth_task
from daco_bench.recall.task import Task, find_task
from daco_core.errors import UsageError


@dataclass(frozen=True)
class ChosenTask:
    """A benchmark, with information to print with its results.

    Args:
        notes: sentences for people.
        protocol: the published rule as plain values; empty if there is none.
    """

    task: Task
    notes: tuple[str, ...] = ()
    protocol: dict[str, Any] = field(default_factory=dict)


def choose_task(
    name: str | None,
    data_root: Path,
    database: Path | None,
    queries: Path | None,
    metres: float | None = None,
    frames: int | None = None,
    protocol: str | None = None,
    truth: Path | None = None,
) -> ChosenTask:
    """The task of a protocol, of a table of truth, or of `find_task`.

    Args:
        name: a data set; with a protocol, the folder written by VPR-datasets-downloader, as a path or below the data
            root.

    Raises:
        DacoError: options contradict each other; or an error of the functions for each kind of task.
    """
    if protocol is None and truth is None:
        return ChosenTask(find_task(name, data_root, database, queries, metres, frames))
    if metres is not None or frames is not None or (protocol and truth):
        raise UsageError("Give only one of --protocol, --truth, --distance and --frames.")
    if truth is not None:
        if name is not None or database is None or queries is None:
            raise UsageError("--truth is for two folders: give --database and --queries, without a data set.")
        judged = truth_task(database, queries, truth)
        left_out = f"{judged.unlisted} queries are not in {truth} and are not counted."
        return ChosenTask(judged.task, (left_out,) if judged.unlisted else ())
    if name is not None and (database is not None or queries is not None):
        raise UsageError("Name the folder of the data set, or give --database and --queries, not both.")
    folder = None if name is None else _folder(Path(name), data_root)
    published = published_task(find_protocol(protocol or ""), folder, database, queries)
    rule = published.protocol
    notes = [f"Protocol {rule.name}: {rule.rule}; all queries count. Published for {rule.sizes} ({rule.source})."]
    if not published.is_complete:
        notes.append(
            f"There are {published.queries:,} queries and {published.references:,} references here, so the recalls"
            " cannot be compared with published ones."
        )
    return ChosenTask(published.task, (*notes, *([rule.note] if rule.note else [])), published.as_json)


def _folder(named: Path, data_root: Path) -> Path:
    return named if named.is_dir() or not (data_root / named).is_dir() else data_root / named
