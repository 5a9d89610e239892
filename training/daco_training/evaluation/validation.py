"""Measures the recall of an encoder on a data set's validation photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.distances import Places
from daco_core.photographs.layout import PUBLISHED_DOMAINS, DataSet
from daco_core.photographs.locations import PLACE_METRES, PhotoLocation
from daco_core.photographs.pairing import pair_by_name
from daco_core.photographs.positions import locate
from daco_training.evaluation.recall import (
    Recalls,
    Rows,
    SamePlace,
    aligned,
    domain_recalls,
    query_counts,
)

if TYPE_CHECKING:
    from daco_training.encoder.encoder import Encoder


@dataclass(frozen=True)
class Validation:
    """The validation photographs of the first two domains, and which of them show the same place.

    Args:
        images: those of domain a, then those of domain b.
        first: the number of photographs of domain a.
        same_place: which of them show the same place.
        rule: a description of when two photographs show the same place.
    """

    images: list[Path]
    first: int
    same_place: SamePlace
    rule: str

    def recalls(self, encoder: "Encoder", ranks: Sequence[int]) -> dict[str, Recalls]:
        """Direction to rank to fraction. Leaves the encoder in evaluation mode.

        Raises:
            UnreadableImage: a validation photograph is damaged.
        """
        from daco_training.evaluation.descriptors import embed_files  # imports PyTorch, which others do not need

        vectors = embed_files(encoder.eval(), self.images, "validation")
        return domain_recalls(vectors.numpy(), self.same_place, self.first, ranks)

    @cached_property
    def queries(self) -> dict[str, int]:
        """Direction to the number of queries that are counted."""
        return query_counts(self.same_place, self.first, len(self.images))


def find_validation(dataset: DataSet) -> Validation | None:
    """The validation of a data set; None if it has no suitable photographs.

    Domains with equal file names are pairs, as published; other photographs match within 25 m if their positions are
    known. Only the published data sets, whose domains have equal lengths, are also paired by the order of names.

    Raises:
        DacoError: a table of positions is invalid.
    """
    sides = [dataset.images(domain, "val") for domain in dataset.domains[:2]]
    if len(sides) < 2 or not all(sides):
        return None
    a, b = sides
    pairs = pair_by_name(a, b)
    if pairs is None and len(a) == len(b) and dataset.name in PUBLISHED_DOMAINS:
        pairs = list(zip(a, b, strict=True))
    if pairs is not None:
        a, b = (list(side) for side in zip(*pairs, strict=True))
        return Validation([*a, *b], len(a), aligned(len(a)), "pairs of the same name")
    locations = locate(dataset.folder / "original", [*a, *b])
    if len(locations) == len(a) + len(b):
        near = _within([locations[image] for image in (*a, *b)], PLACE_METRES)
        validation = Validation([*a, *b], len(a), near, f"within {PLACE_METRES:.0f} m")
        return validation if any(validation.queries.values()) else None
    return None


def _within(locations: Sequence[PhotoLocation], metres: float) -> SamePlace:
    places = Places(locations)

    def near(asking: Rows, asked: Rows) -> NDArray[np.bool_]:
        return places.metres(asking, other_rows=asked) <= metres

    return near
