"""The losses of a run equal, step by step, those of a plain loop written from the paper's description."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from daco_training.loop.settings import TrainOptions
from daco_training.loop.trainer import Trainer
from daco_training.randomness import derive_seed

STEPS, BATCH, NEGATIVES, PROJECTION, TEMPERATURE, LAMBDA = 4, 6, 32, 16, 0.1, 0.8


class Described(nn.Module):
    """Backbone, average pooling, and a head of Linear without bias, BatchNorm, ReLU, Linear."""

    def __init__(self, dimension: int, length: int) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0, global_pool="avg")
        self.head = nn.Sequential(
            nn.Linear(dimension, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, length)
        )

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(view)
        return normalize(self.head(features), dim=1), features


def pull_and_push(first: Tensor, second: Tensor) -> Tensor:
    """SimCLR's loss, view by view: -log of what the other view has of all views but oneself."""
    views = [*first, *second]
    losses = []
    for i, view in enumerate(views):
        partner = (i + len(first)) % len(views)
        others = [(view @ other / TEMPERATURE).exp() for j, other in enumerate(views) if j != i]
        losses.append(-torch.log((view @ views[partner] / TEMPERATURE).exp() / torch.stack(others).sum()))
    return torch.stack(losses).mean()


def simclr(network: Described, views: list[Tensor], index: Tensor, step: int) -> Tensor:
    return pull_and_push(*(network(view)[0] for view in views))


def daco(network: Described, views: list[Tensor], index: Tensor, step: int) -> Tensor:
    o1, o2, g1, g2 = (network(view)[0] for view in views)
    across = pull_and_push(o1, g1) + pull_and_push(o1, g2)
    return pull_and_push(o1, o2) + pull_and_push(g1, g2) + LAMBDA * across


def simsiam(network: Described, views: list[Tensor], index: Tensor, step: int) -> Tensor:
    (p1, f1), (p2, f2) = (network(view) for view in views)
    return -(cosine_similarity(p1, f2.detach()).mean() + cosine_similarity(p2, f1.detach()).mean()) / 2


class MoCo:
    """A key network that follows by momentum, and a queue of its past keys."""

    def __init__(self, network: Described, queue: Tensor) -> None:
        self.keys, self.queue = copy.deepcopy(network), queue

    def __call__(self, network: Described, views: list[Tensor], index: Tensor, step: int) -> Tensor:
        if step:  # after the step before
            with torch.no_grad():
                for key, query in zip(self.keys.parameters(), network.parameters(), strict=True):
                    key.copy_(0.999 * key + 0.001 * query)
        query = network(views[0])[0]
        torch.manual_seed(derive_seed(0, step, 1))  # the same shuffle, whose order Adam's first steps make visible
        shuffle = torch.randperm(len(index))
        with torch.no_grad():
            key = self.keys(views[1][shuffle])[0][shuffle.argsort()]
        losses = []
        for q, k in zip(query, key, strict=True):
            negatives = torch.stack([(q @ old / TEMPERATURE).exp() for old in self.queue]).sum()
            positive = (q @ k / TEMPERATURE).exp()
            losses.append(-torch.log(positive / (positive + negatives)))
        self.queue = torch.cat([self.queue[len(key) :], key])
        return torch.stack(losses).mean()


class NPID:
    """A bank with a row for each image; noise-contrastive estimation with uniform noise."""

    def __init__(self, bank: Tensor) -> None:
        self.bank, self.total = bank, 0.0

    def __call__(self, network: Described, views: list[Tensor], index: Tensor, step: int) -> Tensor:
        torch.manual_seed(derive_seed(0, step, 1))  # the same draws
        drawn = torch.randint(len(self.bank), (len(index), NEGATIVES + 1))
        projection = network(views[0])[0]
        rows = [[int(own), *map(int, some[1:])] for own, some in zip(index, drawn, strict=True)]
        scores = [
            torch.stack([(p @ self.bank[row] / TEMPERATURE).exp() for row in some])
            for p, some in zip(projection, rows, strict=True)
        ]
        if not step:
            self.total = torch.stack(scores).mean().item() * len(self.bank)
        noise, losses = NEGATIVES / len(self.bank), []
        for some in scores:
            likely = some / self.total
            losses.append(-torch.log(likely[0] / (likely[0] + noise)) - torch.log(noise / (likely[1:] + noise)).sum())
        self.bank = self.bank.clone()  # the loss still needs the rows of before
        for own, p in zip(index, projection.detach(), strict=True):
            self.bank[own] = normalize(0.5 * p + 0.5 * self.bank[own], dim=0)
        return torch.stack(losses).mean()


def described_losses(trainer: Trainer, method: str, batches: list[tuple[list[Tensor], Tensor]]) -> Iterator[float]:
    """The losses of a loop that shares nothing with the trainer but the first weights, the views and the draws."""
    encoder = trainer.encoder
    length = encoder.dimension if method == "simsiam" else PROJECTION
    network = Described(encoder.dimension, length)
    network.backbone.load_state_dict(copy.deepcopy(encoder.backbone.state_dict()))
    network.head.load_state_dict(copy.deepcopy(trainer.network.head.state_dict()))
    network.train()
    losses: dict[str, Callable[..., Tensor]] = {"daco": daco, "simclr": simclr, "simsiam": simsiam}
    if method == "moco":
        losses["moco"] = MoCo(network, trainer.method.queue.clone())  # type: ignore[operator]
    if method == "npid":
        losses["npid"] = NPID(trainer.method.bank.clone())  # type: ignore[operator]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-6)
    for step, (views, index) in enumerate(batches):
        loss = losses[method](network, views, index, step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield loss.item()


@pytest.mark.parametrize("method", ["daco", "simclr", "simsiam", "moco", "npid"])
def test_a_run_has_the_losses_of_a_loop_written_from_the_papers_description(
    places: Path, tmp_path: Path, method: str
) -> None:
    options = TrainOptions(
        data_root=places, data_name="places", method_name=method, save_root=tmp_path, backbone="test_resnet",
        image_size=32, batch_size=BATCH, iters=STEPS, negs=NEGATIVES, proj_dim=PROJECTION, workers=0,
    )  # fmt: skip
    trainer = Trainer(options.resolve(), "cpu", 1)
    trainer.network.train()
    drawn = [trainer.views.draw(keys) for keys in trainer.batches()]
    batches = [(batch.views, batch.images) for batch in drawn]
    expected = list(described_losses(trainer, method, batches))
    losses = []
    for loss in trainer.steps(trainer.batches()):
        trainer.progress.iteration += 1
        losses.append(loss)
    assert len(losses) == STEPS
    # Adam divides by the size of the gradient, so that rounding grows from step to step
    assert losses == pytest.approx(expected, rel=5e-4)
    assert losses[0] != pytest.approx(losses[-1], abs=1e-3), "the weights must have moved"
