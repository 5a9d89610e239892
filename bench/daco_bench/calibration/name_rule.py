"""Decides by names whether two places are the same, where positions do not say it."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daco_core.errors import UsageError
from daco_index.references.find import Reference
from daco_index.search.bundle import Bundle

CELL_FACTOR = 8  # of a tolerance in frames: the size of a cell of the cross-validation


@dataclass(frozen=True)
class Names:
    """Decides by their names whether places are the same: equal names, or numbers that differ by at most `frames`."""

    frames: int | None = None

    def same(self, one: str, other: str, factor: int = 1) -> bool:
        """Whether two places are the same, with `factor` times the tolerance."""
        if self.frames is None:
            return one == other
        return abs(_frame(one) - _frame(other)) <= factor * self.frames

    def alike(self, place: str, places: Iterable[str]) -> Iterable[str]:
        """Those of `places` that are the same as `place`."""
        return [place] if self.frames is None else [other for other in places if self.same(place, other)]

    def cell(self, place: str, shift: float) -> object:
        """The cell of a place; places in one cell are held out together. Shifted by `shift` cells."""
        if self.frames is None:
            return place
        return math.floor(_frame(place) / (CELL_FACTOR * max(1, self.frames)) + shift)


def names_rule(bundle: Bundle, truths: Sequence[Reference], frames: int | None) -> Names:
    if frames is None:
        return Names()
    if bundle.manifest.with_location:
        raise UsageError("--frames is for maps without positions; with positions, a match is right within 25 m.")
    for place in (*(entry.place for entry in bundle.catalog.all()), *(truth.place for truth in truths)):
        _frame(place)
    return Names(frames)


def _frame(place: str) -> int:
    """The last number in a place's name."""
    numbers = re.findall(r"\d+", place)
    if not numbers:
        raise UsageError(f"The place {place!r} has no number, which --frames needs.")
    return int(numbers[-1])
