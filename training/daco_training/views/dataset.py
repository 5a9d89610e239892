"""Training images as random views; their order and augmentation depend only on (seed, epoch, index)."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import NotFound
from daco_core.photographs.layout import DataSet
from daco_training.devices import send
from daco_training.methods.method import Source
from daco_training.randomness import derive_seed
from daco_training.views.augmentation import DrawView, Render, draw_view, render, spots
from daco_training.views.image_store import ImageStore
from daco_training.views.surface import Surfaces

Key = tuple[int, int]
"""(epoch, index): the pass over the data, and the training image."""


class Batch(NamedTuple):
    """A batch for a method.

    Args:
        views: (n, 3, size, size) each.
        images: (n,), the index of each row's training image.
        spots: for each view, which spot of the photograph its cells show, (n, cells^2, 3), see `augmentation.spots`;
            empty unless requested. The third number is 0; or all three are coordinates in the rendered city.
    """

    views: list[Tensor]
    images: Tensor
    spots: list[Tensor]


class TrainingViews:
    """The training photographs of all domains, as the random views that a method needs.

    Args:
        sources: for each view, whether it is taken from the `original` or from its `generated` twin.
        config: of the encoder; views have its image size and normalisation.
        store: reads and caches the photographs.
        draw_view: draws a view.
        render: renders the views from photographs.
        cells: number of cells along a side of a view whose spots a batch contains; 0 for none.

    Raises:
        DacoError: there are no photographs, or a required twin is missing.
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
        cells: int = 0,
    ) -> None:
        self.files: dict[Source, list[Path]] = {"original": dataset.training_images()}
        if "generated" in sources:
            twins = [dataset.twin(image) for image in self.files["original"]]
            missing = [twin for twin in twins if not twin.exists()]
            if missing:
                command = f"daco-data translate {dataset.name} --data-root {dataset.data_root} --method fourier"
                raise NotFound(
                    f"{len(missing)} of {len(twins)} generated twins are missing, for example {missing[0]}. "
                    f"Make them with: {command}"
                )
            self.files["generated"] = twins
        self.sources = sources
        self.config = config
        self.seed = seed
        self.store = store
        self._draw_view = draw_view
        self._render = render
        self._cells = cells
        self._surfaces = Surfaces(dataset)

    def __len__(self) -> int:
        return len(self.files["original"])

    def stream(self, batches: Iterable[Sequence[Key]]) -> Generator[Batch]:
        """Yields the batches; the photographs for the next one are read in the background.

        Raises:
            UnreadableImage: a photograph is damaged.
        """
        with closing(self.store):
            for keys, following in pairwise(chain(batches, [()])):
                for _, index in (*keys, *following):
                    self.store.read_ahead(files[index] for files in self.files.values())
                yield self.draw(keys)

    def draw(self, keys: Sequence[Key]) -> Batch:
        """One batch.

        Raises:
            UnreadableImage: a photograph is damaged.
        """
        images: list[list[Tensor]] = []
        drawn = []
        for epoch, index in keys:
            random = np.random.default_rng(derive_seed(self.seed, epoch, index))
            photographs = {source: self.store[files[index]] for source, files in self.files.items()}
            images.append([photographs[source] for source in self.sources])
            drawn.append([self._draw_view(random, *image.shape[1:]) for image in images[-1]])
        # first all first views, then all second ones, ...
        of_images = [image for column in zip(*images, strict=True) for image in column]
        of_views = [view for column in zip(*drawn, strict=True) for view in column]
        config = self.config
        views = self._render(of_images, of_views, config.image_size, config.mean, config.std)
        numbers = send([index for _, index in keys], torch.long, self.store.device)
        shown: list[Tensor] = []
        if self._cells:
            points = spots(of_views, [(image.shape[-2], image.shape[-1]) for image in of_images], self._cells)
            shown = [part.to(self.store.device) for part in torch.split(self._in_the_city(points, keys), len(keys))]
        return Batch(list(torch.split(views, len(keys))), numbers, shown)

    def _in_the_city(self, points: Tensor, keys: Sequence[Key]) -> Tensor:
        """Converts spots (views x n, cells^2, 2) of rendered photographs to points of the city, (..., 3).

        An original and its twin that were rendered from two poses share points of the city, not of the image.
        """
        told = torch.nn.functional.pad(points, (0, 1))
        for row, (_, index) in enumerate(keys):
            files = {source: files[index] for source, files in self.files.items()}
            if all(self._surfaces.known(file) for file in files.values()):
                for view, source in enumerate(self.sources):
                    place = view * len(keys) + row
                    told[place] = self._surfaces.spots(files[source], points[place])
        return told


class Batches:
    """The batches of a run between two iterations, each a list of (epoch, index).

    Every epoch is a shuffle of all images without the last incomplete batch, as published. Each process takes its share
    of every batch.

    Args:
        images: number of training images.
        batch_size: images in a batch, over all processes.
        start, stop: the first iteration and the one after the last, counted from 0 over all epochs.
        rank, processes: the number of this process, and of all.
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
