"""A plain training loop like that of the published code, for `daco-bench train` to compare with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from daco_core.encoder.config import EncoderConfig
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.datasets.statistics import normaliser
from daco_training.encoder.encoder import Encoder
from daco_training.loop.network import ContrastiveNetwork, PlainProjector
from daco_training.loop.settings import TrainSettings
from daco_training.methods import METHODS, projection_length
from daco_training.methods.method import Source
from daco_training.views.data_wait import WaitingTime


class PublishedViews(Dataset[tuple[list[Tensor], int]]):
    """Photographs decoded and augmented by Pillow, again for every view: returns views and index."""

    def __init__(self, dataset: DataSet, sources: Sequence[Source], size: int) -> None:
        self.originals = dataset.training_images()
        self.twins: list[Path] = [dataset.twin(image) for image in self.originals]
        self.sources = sources
        mean, std = normaliser(dataset)
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.2, 1.0)),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(p=0.2),
                v2.RandomHorizontalFlip(p=0.5),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(list(mean), list(std)),
            ]
        )

    def __len__(self) -> int:
        return len(self.originals)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        images = {source: open_rgb(self._file(source, index)) for source in set(self.sources)}
        return [self.transform(images[source]) for source in self.sources], index

    def _file(self, source: Source, index: int) -> Path:
        return self.originals[index] if source == "original" else self.twins[index]


class PublishedLoop:
    """The loop: loader workers, a forward pass for each view in fp32, Adam.

    Args:
        settings: of the training; its precision and the options that make `daco-train` fast are ignored.
        workers: number of loader processes.
    """

    def __init__(self, settings: TrainSettings, device: torch.device, workers: int) -> None:
        torch.manual_seed(settings.seed)
        dataset = DataSet(settings.data_root, settings.data_name)
        encoder = Encoder(EncoderConfig(settings.backbone, settings.pooling, settings.image_size))
        network: nn.Module = ContrastiveNetwork(encoder, projection_length(settings, encoder.dimension))
        self.network = network.to(device)
        images = len(dataset.training_images())
        self.method = METHODS[settings.method_name](settings, self.network, images).to(device)
        self.optimizer = Adam(self.network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        self.loader = DataLoader(
            PublishedViews(dataset, self.method.sources, settings.image_size),
            batch_size=settings.batch_size,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            persistent_workers=workers > 0,
        )
        self.device = device
        self.waiting = WaitingTime(device)

    def steps(self) -> Iterator[float]:
        """Yields the loss of each step, endlessly."""
        project = PlainProjector(self.network)
        batches = self._batches()
        while True:
            self.waiting.begin()
            views, index = next(batches)
            views, index = [view.to(self.device) for view in views], index.to(self.device)
            self.waiting.end()
            loss = self.method.loss(project, views, index)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.method.after_step()
            yield loss.item()

    def _batches(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        while True:
            yield from self.loader
