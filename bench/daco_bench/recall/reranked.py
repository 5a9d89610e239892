"""Answers ranked again by local descriptors, as an index ranks them: kept in two bits a number, matched, voted."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_bench.recall.retrieval import Retrieval
from daco_bench.recall.task import Task
from daco_core.photographs.images import open_reduced
from daco_core.threads import in_threads
from daco_index.embedding.engines.engine import Engine
from daco_index.reranking.local_file import LOCAL_WIDTH, LocalForm
from daco_index.reranking.quantisation import rotate
from daco_index.reranking.rerank import VOTE_WEIGHT
from daco_index.reranking.voting import Grid, vote

BATCH = 32


@dataclass(frozen=True)
class Described:
    """Of n images: descriptors (n, dimension), and local ones (n, cells, width), float16, in a file without a name."""

    descriptors: NDArray[np.float32]
    local: NDArray[np.float16]
    grid: Grid


def embed_with_local(engine: Engine, files: Sequence[Path], description: str) -> Described:
    """Both kinds of descriptors in one pass, for an encoder that has both.

    Raises:
        UnreadableImage: a file is not an image.
    """
    assert engine.local_grid is not None
    grid = Grid(*engine.local_grid)
    descriptors = np.empty((len(files), engine.dimension), dtype=np.float32)
    shape = (len(files), grid.cells, LOCAL_WIDTH)
    with tempfile.TemporaryFile() as file:
        file.truncate(max(1, 2 * math.prod(shape)))
        local: NDArray[np.float16] = np.memmap(file, np.float16, "r+", shape=shape)
    prepared = in_threads(lambda path: engine.prepare(open_reduced(path, engine.image_size)[0]), files, description)
    for start, batch in enumerate(iter(lambda: list(islice(prepared, BATCH)), [])):
        rows = slice(start * BATCH, start * BATCH + len(batch))
        embedding = engine.embed_prepared_with_local(batch)
        assert embedding.local is not None
        descriptors[rows], local[rows] = embedding.descriptors, embedding.local
    return Described(descriptors, local, grid)


def retrieve_reranked(
    task: Task, engine: Engine, method: str, depth: int, candidates: int, small: bool = False
) -> list[Retrieval]:
    """The encoder's answers in each direction, and after them the same ones with the first candidates ranked again.

    Args:
        depth: answers kept for each query.
        candidates: how many are ranked again.
        small: keep half of the cells.
    """
    described = embed_with_local(engine, task.images, method)
    form = LocalForm.of(described.grid, LOCAL_WIDTH, small)
    depth = max(depth, candidates)
    plain = [task.rank(described.descriptors, method, direction, depth) for direction in task.directions]
    return [*plain, *(_rerank(answers, task, described, form, candidates) for answers in plain)]


def _rerank(answers: Retrieval, task: Task, described: Described, form: LocalForm, candidates: int) -> Retrieval:
    asking, _ = task.directions[answers.direction]
    order, scores, right = answers.order.copy(), answers.scores.copy(), answers.right.copy()
    for number, row in enumerate(asking.tolist()):
        first = order[number, :candidates]
        first = first[np.isfinite(scores[number, :candidates])]  # the photograph itself has no similarity
        count = len(first)
        references, positions = form.decode(form.encode(described.local[first].astype(np.float32)))
        votes = vote(rotate(described.local[row].astype(np.float32)), references, form.grid, positions).votes
        combined = scores[number, :count] + np.float32(VOTE_WEIGHT) * votes
        best = np.argsort(-combined, kind="stable")
        order[number, :count], scores[number, :count] = first[best], combined[best]
        right[number, :count] = right[number, :count][best]
    return replace(answers, method=f"{answers.method}, re-ranked", order=order, scores=scores, right=right)
