"""`evaluate`: measures how often an encoder or an index finds the place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.distances import Places
from daco_core.photographs.images import list_images_below
from daco_core.photographs.locations import PLACE_METRES, PhotoLocation
from daco_core.photographs.positions import locate
from daco_core.recall import recall_at
from daco_serve.api.encoder import Encoder
from daco_serve.api.index import Index

RANKS = (1, 5, 10, 20)
BLOCK = 256  # queries compared at once


@dataclass(frozen=True)
class Evaluation:
    """The share of queries whose place was found.

    Args:
        recall: k to R@k, 0..1: the share of queries with a right reference among the first k.
        queries: number of queries that count: those with a reference within `metres`.
        references: number of photographs that were searched.
        metres: the largest distance at which a reference is right.
    """

    recall: dict[int, float]
    queries: int
    references: int
    metres: float


def evaluate(
    references: str | Path | Index,
    queries: str | Path,
    encoder: Encoder | str | Path = "default",
    metres: float = PLACE_METRES,
    ranks: Sequence[int] = RANKS,
) -> Evaluation:
    """Recall by distance, the field's usual protocol: a reference is right if it is within some metres of the query.

    Folders include their subfolders. Positions come from `@UTM_east@UTM_north@...@.jpg` names, from a table next to the
    photographs, or from EXIF; all photographs of a folder need one. `daco-bench recall` measures the same, and more.

    Args:
        references: a folder, which is embedded and searched exactly; or an index, searched as it is.
        queries: a folder.
        encoder: for a folder of references, loaded or by name; an index has its own.
        ranks: the k of R@k.

    Raises:
        NotFound: a folder contains no photographs.
        UsageError: a photograph has no position, or the ranks are invalid.
        UnreadableImage: a photograph is damaged.
    """
    if not ranks or min(ranks) < 1:
        raise UsageError(f"Ranks must be whole numbers from 1, not {list(ranks)}.")
    asked = _located(Path(queries))
    if isinstance(references, Index):
        right, answerable, count = _by_index(references, asked, metres, max(ranks))
    else:
        encoder = encoder if isinstance(encoder, Encoder) else Encoder.load(encoder)
        known = _located(Path(references))
        right, answerable = _by_encoder(encoder, known, asked, metres, max(ranks))
        count = len(known)
    return Evaluation(recall_at(right, answerable, ranks), int(answerable.sum()), count, metres)


def _by_index(
    index: Index, asked: dict[Path, PhotoLocation], metres: float, depth: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    depth = min(depth, index.count)
    right = np.zeros((len(asked), depth), dtype=bool)
    answerable = np.zeros(len(asked), dtype=bool)
    for number, (image, location) in enumerate(asked.items()):
        near = set(index.bundle.catalog.near(location, metres))
        answerable[number] = bool(near)
        found = [match.entry.id in near for match in index.search(image, depth)]
        right[number, : len(found)] = found
    return right, answerable, index.count


def _by_encoder(
    encoder: Encoder, known: dict[Path, PhotoLocation], asked: dict[Path, PhotoLocation], metres: float, depth: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    depth = min(depth, len(known))
    database, queries = encoder.embed(known), encoder.embed(asked)
    places, from_places = Places(list(known.values())), Places(list(asked.values()))
    right, answerable = [], []
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        order = np.argsort(-queries[block] @ database.T, axis=1, kind="stable")[:, :depth]
        away = from_places.metres(np.arange(len(queries))[block], places)
        right.append(np.take_along_axis(away <= metres, order, axis=1))
        answerable.append((away <= metres).any(axis=1))
    return np.concatenate(right), np.concatenate(answerable)


def _located(folder: Path) -> dict[Path, PhotoLocation]:
    """The photographs in a folder and its subfolders, each with its location."""
    images = list_images_below(folder)
    if not images:
        raise NotFound(f"{folder} contains no photographs.")
    located = locate(folder, images)
    missing = [image for image in images if image not in located]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(images)} photographs in {folder} have no position, for example {missing[0].name}:"
            " recall by distance needs the positions of all."
        )
    return {image: located[image] for image in images}
