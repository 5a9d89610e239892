"""Collects the descriptors for a new generation from several sources: new ones, and those of finished generations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_index.reranking.local_file import LocalFile, LocalForm
from daco_index.search.store import VectorStore

Ids = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class LocalRows:
    """The local descriptors of n photographs, encoded: rows (n, form.row_bytes)."""

    form: LocalForm
    rows: NDArray[np.uint8]


@dataclass(frozen=True)
class _Part:
    """Descriptors of ascending ids, with their rows or ids in the source."""

    ids: NDArray[np.int64]
    there: NDArray[np.int64]
    source: NDArray[np.float32] | VectorStore
    local: LocalRows | LocalFile | None


class Descriptors:
    """Descriptors under their new ids; those in a store are fetched only when needed.

    Local descriptors are included only if all photographs have them in the same form, because a photograph without
    them could not be compared with the others.

    Args:
        dimension: the length of a descriptor.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._parts: list[_Part] = []

    def make(
        self, ids: Ids, vectors: NDArray[np.float32], local: LocalRows | None = None, rows: Ids | None = None
    ) -> None:
        """Adds vectors for n ids, and their local descriptors.

        Args:
            vectors: (n, dimension), in the order of the ids; or, with `rows`, an array that contains them in those
                rows. They may be mapped from a file, and are read only when needed.
        """
        self._take(ids, np.arange(len(ids)) if rows is None else rows, vectors, local)

    def hold(self, ids: Ids, store: VectorStore, there: Ids | None = None, local: LocalFile | None = None) -> None:
        """Adds n ids whose vectors are in a store, and local ones in a file; under the ids `there` if given."""
        self._take(ids, ids if there is None else there, store, local)

    @property
    def local_form(self) -> LocalForm | None:
        """The form of the local descriptors; None unless all have them in the same form."""
        forms = {part.local.form if part.local else None for part in self._parts}
        return forms.pop() if len(forms) == 1 else None

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of ids (n,): (n, dimension). Raises KeyError for an unknown id."""
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)
        for part, hits, there in self._found(ids):
            vectors[hits] = part.source[there] if isinstance(part.source, np.ndarray) else part.source.vectors(there)
        return vectors

    def local_of(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The local descriptors of ids (n,), in `local_form`: (n, row_bytes). Raises KeyError for an unknown id."""
        form = self.local_form
        assert form is not None, "not all photographs have local descriptors"
        rows = np.empty((len(ids), form.row_bytes), dtype=np.uint8)
        for part, hits, there in self._found(ids):
            assert part.local is not None  # because there is a form
            rows[hits] = part.local.rows(there) if isinstance(part.local, LocalFile) else part.local.rows[there]
        return rows

    def _found(self, ids: NDArray[np.int64]) -> list[tuple[_Part, NDArray[np.intp], NDArray[np.int64]]]:
        """For each part: which of the ids it has, and their rows in it. Raises KeyError for an unknown id."""
        found = []
        unknown = np.ones(len(ids), dtype=bool)
        for part in self._parts:
            place = np.searchsorted(part.ids, ids)
            hits = np.flatnonzero(part.ids[np.minimum(place, len(part.ids) - 1)] == ids)
            if len(hits):
                found.append((part, hits, part.there[place[hits]]))
                unknown[hits] = False
        if unknown.any():
            raise KeyError(int(ids[unknown][0]))
        return found

    def _take(
        self,
        ids: Ids,
        there: Ids,
        source: NDArray[np.float32] | VectorStore,
        local: LocalRows | LocalFile | None,
    ) -> None:
        if len(ids):
            numbers = np.asarray(ids, dtype=np.int64)
            order = np.argsort(numbers)
            self._parts.append(_Part(numbers[order], np.asarray(there, dtype=np.int64)[order], source, local))
