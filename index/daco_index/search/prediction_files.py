"""Writes the predictions of a query set: CSV, JSON, and the list of pairs that reconstruction programs read."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file
from daco_core.photographs.coordinates import POSITION_FIELDS
from daco_core.untrusted_text import csv_cell
from daco_index.search.bundle import SearchMatch
from daco_index.search.query_set import Prediction, Query
from daco_index.search.source_names import SourceNames, check_list_names

COLUMNS = ("query", "rank", "id", "place", "similarity", "votes", *POSITION_FIELDS, "file")


def match_values(match: SearchMatch) -> dict[str, object]:
    """One match as plain values, by their names in JSON and CSV."""
    entry = match.entry
    return {
        "rank": match.rank,
        "id": entry.id,
        "place": entry.place,
        "similarity": match.similarity,
        "votes": match.votes,
        **{name: getattr(entry, name) for name in POSITION_FIELDS},
        "file": entry.path,
    }


class PredictionFiles:
    """Writes predictions one by one, so that a query set of any size fits in memory.

    Args:
        head: what a JSON file contains before the queries.
        names: of the references, for the list of pairs.
    """

    def __init__(self, head: dict[str, object], names: SourceNames) -> None:
        self._head, self._names = head, names
        self._json: list[TextIO] = []
        self._csv: list[Any] = []
        self._pairs: list[TextIO] = []
        self._count = 0
        self._unreadable: dict[str, str] = {}

    def add(self, prediction: Prediction) -> None:
        """Writes one prediction to every file; unreadable queries are listed at the end of the JSON file."""
        query = prediction.query
        if prediction.unreadable is not None:
            self._unreadable[str(query.path)] = str(prediction.unreadable)
            return
        values = [match_values(match) for match in prediction.matches]
        for stream in self._json:
            text = json.dumps({"image": str(query.path), "matches": values}, ensure_ascii=False)
            stream.write((",\n" if self._count else "\n") + text)
        for writer in self._csv:
            for row in values:
                row |= {"query": csv_cell(str(query.path))}
                row |= {name: csv_cell(str(row[name] or "")) for name in ("place", "floor", "frame", "file")}
                writer.writerow([row[name] for name in COLUMNS])
        for stream in self._pairs:
            for match in prediction.matches:
                stream.write(f"{query.name} {self._names.of(match.entry.path)}\n")
        self._count += 1

    def _begin_json(self, stream: TextIO) -> None:
        head = json.dumps(self._head, ensure_ascii=False).removesuffix("}")
        stream.write(f'{head}, "queries": [')
        self._json.append(stream)

    def _begin_csv(self, stream: TextIO) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        self._csv.append(writer)

    def _end_json(self) -> None:
        for stream in self._json:
            stream.write(f'\n], "unreadable": {json.dumps(self._unreadable, ensure_ascii=False)}}}\n')


@contextmanager
def prediction_files(
    queries: Sequence[Query],
    references: Sequence[str],
    names: SourceNames,
    head: dict[str, object],
    out: Path | None = None,
    pairs: Path | None = None,
    stdout: TextIO | None = None,
) -> Iterator[PredictionFiles]:
    """Opens the files for predictions; complete files appear at their paths when the block ends.

    Args:
        references: paths of the index's photographs, to check that the list of pairs can contain their names.
        out: a `.csv` or `.json` file; None for none.
        pairs: a text file with one line for each query and match: `QUERY REFERENCE`, as hloc's
            pairs_from_retrieval writes it.
        stdout: a stream that receives the JSON, too.

    Raises:
        UsageError: the list of pairs cannot contain a name.
        DacoError: a file cannot be written.
    """
    files = PredictionFiles(head, names)
    if pairs is not None:
        check_list_names((query.name for query in queries), "queries")
        check_list_names(map(names.of, references), "references")
    try:
        with ExitStack() as stack:
            if out is not None:
                stream = stack.enter_context(_written(stack, out))
                files._begin_csv(stream) if out.suffix.lower() == ".csv" else files._begin_json(stream)
            if pairs is not None:
                files._pairs.append(stack.enter_context(_written(stack, pairs)))
            if stdout is not None:
                files._begin_json(stdout)
            yield files
            files._end_json()
    except OSError as error:
        where = " and ".join(str(file) for file in (out, pairs) if file)  # not the hidden file that is written first
        raise DacoError(f"{where} cannot be written: {reason_of(error)}.") from error


def _written(stack: ExitStack, file: Path) -> TextIO:
    """A stream to a file that replaces the one at the path when the stack is closed."""
    return stack.enter_context(replace_file(file)).open("w", encoding="utf-8", newline="")
