"""Re-ranks answers by local descriptors in the same way as an index: stored in two bits per number, matched, voted."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_bench.recall.retrieval import Nearest, Retrieval
from daco_bench.recall.task import Task
from daco_core.photographs.images import open_reduced
from daco_core.threads import in_threads
from daco_index.embedding.engines.engine import Engine
from daco_index.reranking.local_file import LOCAL_WIDTH, LocalForm
from daco_index.reranking.quantisation import rotate
from daco_index.reranking.rerank import VOTE_WEIGHT, LocalQuery
from daco_index.reranking.voting import CellMatch, Grid, matched_cells

BATCH = 32


@dataclass(frozen=True)
class EmbeddedPhotographs:
    """The descriptors (n, dimension) of n images and, if the encoder has them, their local descriptors.

    The local ones are (n, cells, width), float16, in an unnamed temporary file.
    """

    descriptors: NDArray[np.float32]
    local: NDArray[np.float16] | None = None
    grid: Grid | None = None

    def followed_by(self, other: "EmbeddedPhotographs") -> "EmbeddedPhotographs":
        """These images, followed by the others. Copies both into memory."""
        local = None
        if self.local is not None and other.local is not None:
            local = np.concatenate([self.local, other.local])
        return EmbeddedPhotographs(np.concatenate([self.descriptors, other.descriptors]), local, self.grid)


Photograph = TypeVar("Photograph")


def embed_photographs(
    engine: Engine,
    photographs: Sequence[Photograph],
    open_photograph: Callable[[Photograph], Image.Image],
    description: str,
    with_local: bool = True,
) -> EmbeddedPhotographs:
    """Embeds photographs; local descriptors are computed in the same pass, if the encoder has them.

    Args:
        open_photograph: returns the image of a photograph; called from several threads.
        description: the text of the progress bar.
        with_local: False to leave the local ones out.

    Raises:
        UnreadableImage: a file is not an image.
    """
    grid = Grid(*engine.local_grid) if with_local and engine.local_grid is not None else None
    descriptors = np.empty((len(photographs), engine.dimension), dtype=np.float32)
    local: NDArray[np.float16] | None = None
    if grid is not None:
        shape = (len(photographs), grid.cells, LOCAL_WIDTH)
        with tempfile.TemporaryFile() as file:
            file.truncate(max(1, 2 * math.prod(shape)))
            local = np.memmap(file, np.float16, "r+", shape=shape)
    prepared = in_threads(lambda one: engine.prepare(open_photograph(one)), photographs, description)
    for start, batch in enumerate(iter(lambda: list(islice(prepared, BATCH)), [])):
        rows = slice(start * BATCH, start * BATCH + len(batch))
        if local is None:
            descriptors[rows] = engine.embed_prepared(batch)
            continue
        embedding = engine.embed_prepared_with_local(batch)
        assert embedding.local is not None
        descriptors[rows], local[rows] = embedding.descriptors, embedding.local
    return EmbeddedPhotographs(descriptors, local, grid)


def open_photograph(file: Path, size: int) -> Image.Image:
    """Opens a photograph for an encoder with this image size. Raises UnreadableImage."""
    return open_reduced(file, size)[0]


def retrieve_reranked(
    task: Task, engine: Engine, method: str, depth: int, candidates: int, small: bool = False
) -> list[Retrieval]:
    """The encoder's answers in each direction, followed by the same answers with re-ranked candidates.

    Without candidates, or for an encoder without local descriptors, there are no re-ranked answers.

    Args:
        depth: number of answers kept for each query.
        candidates: number of candidates to re-rank.
        small: keep half of the cells.
    """
    if not candidates or engine.local_grid is None:
        return task.retrieve(engine, method, depth)
    embedded = embed_photographs(engine, task.images, partial(open_photograph, size=engine.image_size), method)
    plain = [task.rank(embedded.descriptors, method, way, max(depth, candidates)) for way in task.directions]
    return [*plain, *(rerank(answers, task, embedded, candidates, small) for answers in plain)]


def reranked_ranks(ranks: Sequence[int], answers: Sequence[Retrieval], candidates: int) -> tuple[int, ...]:
    """The k of a table; if answers are re-ranked, including the number of candidates, because R@that limits them."""
    again = any(one.first_stage for one in answers)
    return tuple(sorted({*ranks, candidates})) if again else tuple(ranks)


def rerank(
    answers: Retrieval, task: Task, embedded: EmbeddedPhotographs, candidates: int, small: bool = False
) -> Retrieval:
    """Re-ranks the first candidates of answers by the embedded images of the task.

    The scores are then those of the re-ranking, also for the nearest right answers.
    """
    assert embedded.local is not None and embedded.grid is not None
    form = LocalForm.of(embedded.grid, LOCAL_WIDTH, small)
    asking, _ = task.directions[answers.direction]
    order, scores, right = answers.order.copy(), answers.scores.copy(), answers.right.copy()
    old = answers.nearest
    nearest = Nearest(old.images.copy(), old.scores.copy(), old.ranks.copy())
    for number, row in enumerate(asking.tolist()):
        first = order[number, :candidates]
        first = first[np.isfinite(scores[number, :candidates])]  # a query's own photograph has no similarity
        count = len(first)
        references, positions = form.decode(form.encode(embedded.local[first].astype(np.float32)))
        query = LocalQuery.of(embedded.local[row].astype(np.float32))
        votes = query.compare(references, form.grid, positions).votes
        combined = scores[number, :count] + np.float32(VOTE_WEIGHT) * votes
        best = np.argsort(-combined, kind="stable")
        order[number, :count], scores[number, :count] = first[best], combined[best]
        right[number, :count] = right[number, :count][best]
        found = np.flatnonzero(right[number, :count])
        if len(found):  # otherwise the nearest one is not among the candidates, and is unchanged
            place = found[0]
            nearest.images[number], nearest.scores[number] = order[number, place], scores[number, place]
            nearest.ranks[number] = place + 1
    return replace(
        answers,
        method=f"{answers.method}, re-ranked",
        order=order,
        scores=scores,
        right=right,
        nearest=nearest,
        first_stage=answers.method,
    )


def cells_of_first(answers: Retrieval, task: Task, embedded: EmbeddedPhotographs, query: int) -> list[CellMatch]:
    """The cells of a query (by its number) that agree with those of its first match, strongest first."""
    assert embedded.local is not None and embedded.grid is not None
    form = LocalForm.of(embedded.grid, LOCAL_WIDTH, small=False)
    asking, _ = task.directions[answers.direction]
    first = answers.order[query, :1]
    references, _ = form.decode(form.encode(embedded.local[first].astype(np.float32)))
    return matched_cells(rotate(embedded.local[asking[query]].astype(np.float32)), references[0], form.grid)
