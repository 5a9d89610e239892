"""Training images as random views, in an order and with an augmentation that only (seed, epoch, index) decide."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import NotFound
from daco_core.photographs.layout import DataSet
from daco_training.devices import send
from daco_training.methods.method import Source
from daco_training.randomness import derive_seed
from daco_training.views.augmentation import DrawView, Render, draw_view, render
from daco_training.views.image_store import ImageStore

Key = tuple[int, int]
"""(epoch, index): which training image, in which pass over the data."""

Batch = tuple[list[Tensor], Tensor]
"""The views, (n, 3, size, size) each, and which training image each row is, (n,)."""


class TrainingViews:
    """The training photographs of all domains, each as the random views that a method needs.

    Args:
        sources: for each view, whether it is drawn from the `original` or from its `generated` twin.
        config: the encoder's; views have its image size and its normaliser.
        store: what reads the photographs and keeps them.
        draw_view: draws a view.
        render: makes of photographs the views that were drawn.

    Raises:
        DacoError: there are no photographs, or a twin is missing that a view needs.
    """

    def __init__(
        self,
        dataset: DataSet,
        sources: Sequence[Source],
        config: EncoderConfig,
        seed: int,
        store: ImageStore,
        draw_view: DrawView = draw_view,
        render: Render = render,
    ) -> None:
        self.files: dict[Source, list[Path]] = {"original": dataset.training_images()}
        if "generated" in sources:
            twins = [dataset.twin(image) for image in self.files["original"]]
            missing = [twin for twin in twins if not twin.exists()]
            if missing:
                command = f"daco-data translate {dataset.name} --data-root {dataset.data_root} --method fourier"
                raise NotFound(
                    f"{len(missing)} of {len(twins)} generated twins are missing, {missing[0]} first. "
                    f"Make them with: {command}"
                )
            self.files["generated"] = twins
        self.sources = sources
        self.config = config
        self.seed = seed
        self.store = store
        self._draw_view = draw_view
        self._render = render

    def __len__(self) -> int:
        return len(self.files["original"])

    def stream(self, batches: Iterable[Sequence[Key]]) -> Generator[Batch]:
        """The batches one after the other; what the next one needs is read meanwhile.

        Raises:
            UnreadableImage: a photograph is broken.
        """
        with closing(self.store):
            for keys, following in pairwise(chain(batches, [()])):
                for _, index in (*keys, *following):
                    self.store.read_ahead(files[index] for files in self.files.values())
                yield self.draw(keys)

    def draw(self, keys: Sequence[Key]) -> Batch:
        """One batch.

        Raises:
            UnreadableImage: a photograph is broken.
        """
        images: list[list[Tensor]] = []
        drawn = []
        for epoch, index in keys:
            random = np.random.default_rng(derive_seed(self.seed, epoch, index))
            photographs = {source: self.store[files[index]] for source, files in self.files.items()}
            images.append([photographs[source] for source in self.sources])
            drawn.append([self._draw_view(random, *image.shape[1:]) for image in images[-1]])
        # all first views, then all second ones, ...
        of_images = [image for column in zip(*images, strict=True) for image in column]
        of_views = [view for column in zip(*drawn, strict=True) for view in column]
        config = self.config
        views = self._render(of_images, of_views, config.image_size, config.mean, config.std)
        return list(torch.split(views, len(keys))), send([index for _, index in keys], torch.long, self.store.device)


class Batches:
    """The batches of a run from one iteration to another, each a list of (epoch, index).

    Every epoch is a shuffle of all images without the last short batch, as published. Of each batch, one process
    takes its share.

    Args:
        images: how many training images there are.
        batch_size: images in a batch, over all processes together.
        start, stop: the first iteration and the one after the last, counted from 0 over all epochs.
        rank, processes: whose share.
    """

    def __init__(
        self, images: int, batch_size: int, seed: int, start: int, stop: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.stop = stop
        self.share = slice(rank * batch_size // processes, (rank + 1) * batch_size // processes)

    @property
    def per_epoch(self) -> int:
        return self.images // self.batch_size

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        shuffled_epoch, order = -1, []
        for iteration in range(self.start, self.stop):
            epoch, batch = divmod(iteration, self.per_epoch)
            if epoch != shuffled_epoch:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
                shuffled_epoch, order = epoch, torch.randperm(self.images, generator=generator).tolist()
            whole = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in whole[self.share]]
