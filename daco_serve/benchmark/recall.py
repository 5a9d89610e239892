"""Recall of one encoder: on a data set's aligned pairs, or of one sequence of frames in another."""

from collections.abc import Sequence
from pathlib import Path

import torch

from daco_serve.benchmark.table import RecallRow, recall_rows
from training.datasets.layout import DataSet
from training.descriptors import describe_files
from training.encoder import Encoder
from training.errors import DacoError
from training.images import list_images
from training.recall import recall_at
from training.validation import find_validation


def validation_recall(encoder: Encoder, dataset: DataSet, ranks: Sequence[int], method: str) -> list[RecallRow]:
    """The published protocol on the validation photographs: a->b, b->a, a<->b.

    Raises:
        DacoError: the data set has no validation photographs that are pairs or have positions, or one is unreadable.
    """
    validation = find_validation(dataset)
    if validation is None:
        raise DacoError(f"{dataset.folder} has no validation photographs that are pairs or have positions.")
    return recall_rows(method, validation.recalls(encoder, ranks), validation.queries)


def sequence_recall(
    encoder: Encoder, database: Path, queries: Path, frames: int, ranks: Sequence[int], method: str
) -> list[RecallRow]:
    """Recall of one traverse of a route in another: the n-th images by name show the same place.

    Args:
        database, queries: folders of images, sorted by name.
        frames: a match that many frames off still counts as right.

    Raises:
        DacoError: a folder holds no images, or one is unreadable.
    """
    references, questions = list_images(database), list_images(queries)
    for folder, images in ((database, references), (queries, questions)):
        if not images:
            raise DacoError(f"{folder} holds no images.")
    vectors = describe_files(encoder.eval(), [*references, *questions], "embedding")
    similarities = vectors[len(references) :] @ vectors[: len(references)].T
    offset = torch.arange(len(questions))[:, None] - torch.arange(len(references))[None, :]
    recalls = recall_at(similarities, offset.abs() <= frames, ranks)
    direction = f"{queries.name}->{database.name}"
    return recall_rows(method, {direction: recalls}, {direction: len(questions)})
