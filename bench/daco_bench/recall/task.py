"""Recall benchmarks: the queries, the references, and which answers are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.retrieval import DEPTH, Nearest, Retrieval
from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.distances import Places
from daco_core.photographs.images import list_images, list_images_below
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import PLACE_METRES, PhotoLocation
from daco_core.photographs.natural_order import natural_key
from daco_core.photographs.pairing import pair_by_name
from daco_core.photographs.positions import locate
from daco_index.embedding.embed import embed_files
from daco_index.embedding.engines.engine import Engine
from daco_training.evaluation.recall import BLOCK, Rows, SamePlace, answers_of, best_first, blocks, directions
from daco_training.evaluation.validation import find_validation

PUBLISHED_RANKS = "1,2,4,8"  # of DaCo
USUAL_RANKS = "1,5,10,20"  # of the field, by distance
FRAMES = 3


@dataclass(frozen=True)
class Task:
    """One recall benchmark.

    Args:
        title: a description, and when an answer is right.
        images: all its photographs.
        directions: name to the rows of `images` that are queries and those that are references. No photograph is its
            own answer.
        correct: rows of queries and of references to (asking, asked), True if both show the same place.
        groups: (images,) a number that photographs of the same place share.
        ranks: the usual values of k, comma-separated.
        folders: the folders of the images, including subfolders, and of the files with their positions.
        all_count: whether a query without a right answer counts as a miss.
    """

    title: str
    images: list[Path]
    directions: dict[str, tuple[Rows, Rows]]
    correct: SamePlace
    groups: Rows
    ranks: str
    folders: tuple[Path, ...]
    all_count: bool = False

    def retrieve(self, engine: Engine, method: str, depth: int = DEPTH) -> list[Retrieval]:
        """The encoder's answers in each direction, the first `depth` for each query.

        Raises:
            UnreadableImage: a photograph is broken.
        """
        vectors = self.embed(engine)
        return [self.rank(vectors, method, direction, depth) for direction in self.directions]

    def embed(self, engine: Engine) -> NDArray[np.float32]:
        """The descriptors of all images, (images, dimension), computed as by `daco-index build`.

        Raises:
            UnreadableImage: a photograph is broken.
        """
        return embed_files(engine, self.images, strict=True).vectors

    def locations(self) -> dict[Path, PhotoLocation]:
        """The locations of the images whose position is known.

        Raises:
            DacoError: a table of positions is invalid.
        """
        located: dict[Path, PhotoLocation] = {}
        for folder in self.folders:
            located |= locate(folder, [image for image in self.images if image.is_relative_to(folder)])
        return located

    def rank(self, vectors: NDArray[np.float32], method: str, direction: str, depth: int = DEPTH) -> Retrieval:
        """The answers in one direction, from the descriptors of `embed`."""
        asking, asked = self.directions[direction]
        depth = min(depth, len(asked))
        order = np.empty((len(asking), depth), dtype=np.int64)
        scores = np.empty((len(asking), depth), dtype=np.float32)
        right = np.empty((len(asking), depth), dtype=np.bool_)
        answerable = np.empty(len(asking), dtype=np.bool_)
        nearest = Nearest(
            np.full(len(asking), -1, dtype=np.int64),
            np.full(len(asking), -np.inf, dtype=np.float32),
            np.zeros(len(asking), dtype=np.int64),
        )
        references = vectors[asked].T
        for start in range(0, len(asking), BLOCK):
            block = slice(start, start + BLOCK)
            rows = asking[block]
            correct, itself = answers_of(self.correct, rows, asked)
            similarities = vectors[rows] @ references
            similarities[itself] = -np.inf
            best = best_first(similarities, depth)
            order[block], scores[block] = asked[best], np.take_along_axis(similarities, best, axis=1)
            right[block] = np.take_along_axis(correct, best, axis=1)
            has_answer = correct.any(axis=1)
            answerable[block] = has_answer | self.all_count
            for number in np.flatnonzero(has_answer):
                # query by query, because a second array of this size would double the memory
                own, same_place = similarities[number], np.flatnonzero(correct[number])
                found = same_place[own[same_place].argmax()]
                nearest.images[start + number], nearest.scores[start + number] = asked[found], own[found]
                nearest.ranks[start + number] = 1 + (own > own[found]).sum()
        queries = [self.images[row] for row in asking]
        groups = self.groups[asking]
        return Retrieval(method, direction, queries, self.images, order, scores, right, answerable, groups, nearest)


def find_task(
    name: str | None = None,
    data_root: Path = Path("data"),
    database: Path | None = None,
    queries: Path | None = None,
    metres: float | None = None,
    frames: int | None = None,
) -> Task:
    """The benchmark that a command line names: a data set, or two folders.

    Two folders are evaluated by distance or by frames, if one is given; otherwise within 25 m if all photographs have
    positions, and else within 3 frames if both have the same names.

    Raises:
        DacoError: neither or both are named, there is no rule for the same place, or an error of the functions below.
    """
    if name is not None and (database or queries or metres is not None or frames is not None):
        raise UsageError("--database, --queries, --distance and --frames are for two folders, without a data set.")
    if name is not None:
        return validation_task(DataSet(data_root, name))
    if database is None or queries is None:
        raise UsageError("Name a data set, or give both --database and --queries.")
    if metres is not None and frames is not None:
        raise UsageError("Give either --distance or --frames, not both.")
    if frames is None:
        sides = [_Side.of(database), _Side.of(queries)]
        if metres is not None or all(side.images and not side.missing for side in sides):
            return _distance_task(sides, PLACE_METRES if metres is None else metres)
        flat = [list_images(side.folder) for side in sides if some_images(side.images, side.folder)]
        if not all(flat) or pair_by_name(*flat) is None:
            raise UsageError(
                f"Nothing says which photographs of {queries} and {database} show the same place: their names are not"
                f" the same, and {' and '.join(side.positions_in_words for side in sides)}. Give positions to all, or"
                " name the right answers with --truth; or, if both are frames of one route in the order of their"
                f" names, add --frames {FRAMES}."
            )
    return frames_task(database, queries, FRAMES if frames is None else frames)


def validation_task(dataset: DataSet) -> Task:
    """The published protocol on a data set's validation photographs: a->b, b->a and a<->b.

    Raises:
        DacoError: it has no validation photographs that are pairs or lie within 25 m of each other.
    """
    validation = find_validation(dataset)
    if validation is None:
        raise DacoError(
            f"{dataset.folder} has no validation photographs that are pairs or lie within 25 m of each other."
        )
    everyone = np.arange(len(validation.images))
    own = [answers_of(validation.same_place, rows, everyone) for rows in blocks(everyone)]
    first = [(correct | itself).argmax(axis=1) for correct, itself in own]  # the first photograph of the same place
    return Task(
        f"{dataset.name}, {validation.rule}",
        validation.images,
        {way: (everyone[asking], everyone[asked]) for way, (asking, asked) in directions(validation.first).items()},
        validation.same_place,
        np.concatenate(first),
        PUBLISHED_RANKS,
        (dataset.folder / "original",),
    )


def _distance_task(sides: "Sequence[_Side]", metres: float) -> Task:
    """The field's usual protocol: a match is right within `metres` of the query's position.

    Positions come from `@UTM_east@UTM_north@...@.jpg` names, a table next to the photographs, or EXIF; folders include
    their subfolders. A query without a reference within that distance is not counted, as usual (Berton et al., Deep
    Visual Geo-localization Benchmark, CVPR 2022).

    Raises:
        DacoError: a folder contains no images, or a photograph has no position.
    """
    places = []
    for side in sides:
        some_images(side.images, side.folder)
        if side.missing:
            raise UsageError(
                f"{len(side.missing)} of {len(side.images)} photographs of {side.folder} have no position,"
                f" {side.missing[0].name} for one: recall by distance needs all."
            )
        places += [side.located[image] for image in side.images]
    columns = Places(places)

    def near(asking: Rows, asked: Rows) -> NDArray[np.bool_]:
        return columns.metres(asking, other_rows=asked) <= metres

    database, queries = sides
    images = [database.images, queries.images]
    asking = np.arange(len(database.images), len(places))
    first = [asking[near(rows, asking).argmax(axis=1)] for rows in blocks(asking)]  # the first query of the same place
    groups = np.concatenate([np.arange(len(database.images)), *first])
    return two_folders_task(database.folder, queries.folder, f"within {metres:g} m", USUAL_RANKS, images, near, groups)


def frames_task(database: Path, queries: Path, frames: int) -> Task:
    """Two traversals of a route: the n-th images by name, in natural order, show the same place.

    Args:
        frames: the largest difference of a right match. Each frame is its own group, although neighbours look alike.

    Raises:
        DacoError: a folder contains no images.
    """
    sides = [
        sorted(some_images(list_images(folder), folder), key=lambda image: natural_key(image.stem))
        for folder in (database, queries)
    ]
    numbers = np.concatenate([np.arange(len(side)) for side in sides])
    return two_folders_task(
        database,
        queries,
        f"within {frames} frames",
        PUBLISHED_RANKS,
        sides,
        lambda asking, asked: abs(numbers[asking][:, None] - numbers[asked]) <= frames,
        np.arange(len(numbers)),
    )


@dataclass(frozen=True)
class _Side:
    """The images below a folder, and the locations of those whose position is known."""

    folder: Path
    images: list[Path]
    located: dict[Path, PhotoLocation]

    @classmethod
    def of(cls, folder: Path) -> "_Side":
        images = list_images_below(folder)
        return cls(folder, images, locate(folder, images))

    @property
    def missing(self) -> list[Path]:
        """The images without a position."""
        return [image for image in self.images if image not in self.located]

    @property
    def positions_in_words(self) -> str:
        """How many of the images have a position, and the first that has none."""
        missing = self.missing
        first = f" (not {missing[0].name})" if missing and self.located else ""
        return f"{len(self.located)} of {len(self.images)} photographs of {self.folder} have a position{first}"


def two_folders_task(
    database: Path,
    queries: Path,
    rule: str,
    ranks: str,
    sides: list[list[Path]],
    correct: SamePlace,
    groups: Rows,
    all_count: bool = False,
) -> Task:
    """A task with the photographs of one folder as queries in those of another.

    Args:
        rule: when an answer is right, in words.
        sides: the images of the database, then those of the queries, which are numbered in this order.
        correct, groups, ranks, all_count: see `Task`.
    """
    images = [*sides[0], *sides[1]]
    rows = np.arange(len(images))
    ways = {f"{queries.name}->{database.name}": (rows[len(sides[0]) :], rows[: len(sides[0])])}
    return Task(
        f"{queries} in {database}, {rule}", images, ways, correct, groups, ranks, (database, queries), all_count
    )


def some_images(images: list[Path], folder: Path) -> list[Path]:
    """The images. Raises NotFound if there are none."""
    if not images:
        raise NotFound(f"{folder} contains no images.")
    return images
