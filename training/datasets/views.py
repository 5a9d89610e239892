"""Training images as random views, in an order and with an augmentation that only (seed, epoch, index) decide."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate
from torchvision.transforms import v2

from training.datasets.layout import DataSet
from training.errors import DacoError
from training.images import UnreadableImage, open_rgb
from training.methods.method import Source
from training.randomness import derive_seed

Key = tuple[int, int]
"""(epoch, index): which training image, in which pass over the data."""


Sample = tuple[list[Tensor], int]
Batch = tuple[list[Tensor], Tensor]


class TrainingViews(Dataset[Sample | UnreadableImage]):
    """The training photographs of all domains, each as the random views that a method wants.

    Item (epoch, index) is the list of views, (3, size, size) each, and the index; or the error of a broken file, which
    `collate` hands on: an exception raised in a loader's process would arrive as another, with a page of traceback.

    Args:
        sources: for each view, whether it is drawn from the `original` or from its `generated` twin.
        transform: draws one view from an image.

    Raises:
        DacoError: there are no photographs, or a twin is missing that a view needs.
    """

    def __init__(self, dataset: DataSet, sources: Sequence[Source], transform: v2.Transform, seed: int) -> None:
        self.originals = dataset.training_images()
        self.twins: list[Path] = []
        if "generated" in sources:
            self.twins = [dataset.twin(image) for image in self.originals]
            missing = [twin for twin in self.twins if not twin.exists()]
            if missing:
                command = f"daco-data translate {dataset.name} --data-root {dataset.data_root} --method fourier"
                raise DacoError(
                    f"{len(missing)} of {len(self.twins)} generated twins are missing, {missing[0]} first. "
                    f"Make them with: {command}"
                )
        self.sources = sources
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.originals)

    def __getitem__(self, key: Key) -> Sample | UnreadableImage:
        epoch, index = key
        try:
            images = {"original": open_rgb(self.originals[index])}
            if self.twins:
                images["generated"] = open_rgb(self.twins[index])
        except UnreadableImage as error:
            return error
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, epoch, index))
            return [self.transform(images[source]) for source in self.sources], index


def collate(samples: list[Sample | UnreadableImage]) -> Batch | UnreadableImage:
    """A batch of n samples, (n, 3, size, size) for each view and the (n,) indexes; or the first error among them."""
    for sample in samples:
        if isinstance(sample, UnreadableImage):
            return sample
    batch: Batch = default_collate(samples)
    return batch


class Batches(Sampler[list[Key]]):
    """The batches of a run from one iteration to another, each a list of (epoch, index).

    Every epoch is a shuffle of all images without the last short batch, as published. Of each batch, one process
    takes its share.

    Args:
        images: how many training images there are.
        batch_size: images in a whole batch, over all processes.
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
