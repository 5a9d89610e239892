"""MoCo: a view attracts another view as a slowly moving copy of the network sees it; a queue of past ones repels."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, temperature: float, masked: Tensor | None = None) -> Tensor:
    """InfoNCE of each query with its key against a queue.

    Source: He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
    CVPR 2020, eq. 1.

    Args:
        query, key: (n, c) L2-normalised; row i of one is the positive of row i of the other.
        queue: (negs, c) L2-normalised negatives.
        masked: (n, negs), True where a negative does not count for a query; None if all count.

    Returns:
        A scalar.
    """
    positive = (query * key).sum(dim=-1, keepdim=True)
    negatives = query @ queue.T
    if masked is not None:
        negatives = negatives.masked_fill(masked, float("-inf"))
    logits = torch.cat([positive, negatives], dim=-1).float() / temperature
    return functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


class MoCo(Method):
    """MoCo as the published code trains it: key batches are shuffled, the key network follows by momentum.

    As published, momentum moves the key network's parameters; its batch-norm statistics are its own.

    Args:
        network: the network in training; the key network starts as its copy.
        negs: the queue's length.
        proj_dim: the projections' length.
        temperature: divides the similarities.
        momentum: how much of the key network stays at each step (published for MoCo: 0.999).
        mask_copies: older keys of an image's own are no negatives of it (not published). With fewer images than
            `negs`, the queue holds several of each image.
    """

    sources = ("original", "original")
    queue: Tensor
    owners: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        negs: int,
        proj_dim: int,
        temperature: float,
        momentum: float,
        mask_copies: bool = False,
    ) -> None:
        super().__init__()
        self._network = [network]  # in a list: the network in training is no part of this module
        self.key_network = copy.deepcopy(network).requires_grad_(False)
        self.key_network.train()  # all of it, but for a frozen backbone
        self.register_buffer("queue", functional.normalize(torch.randn(negs, proj_dim), dim=-1))
        # which image each key of the queue is of; -1 for none
        self.register_buffer("owners", torch.full((negs,), -1) if mask_copies else None)
        self.temperature = temperature
        self.momentum = momentum
        self._keys: Tensor | None = None
        self._index: Tensor | None = None

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        first, second = views
        (query,) = project(first)
        shuffle = torch.randperm(len(second)).to(second.device)
        with torch.no_grad(), project.precision():
            (shuffled,) = self.key_network(second[shuffle])
        self._keys = project.gather(shuffled[shuffle.argsort()].float())
        self._index = project.gather(index)
        masked = None if self.owners is None else self._index[:, None] == self.owners
        return moco_loss(query, self._keys, self.queue, self.temperature, masked)

    @torch.no_grad()
    def after_step(self) -> None:
        if self._keys is not None:
            self.enqueue(self._keys, self._index)
        for parameter, key in zip(self._network[0].parameters(), self.key_network.parameters(), strict=True):
            key.mul_(self.momentum).add_(parameter, alpha=1.0 - self.momentum)

    def enqueue(self, keys: Tensor, index: Tensor | None = None) -> None:
        """Puts (n, c) keys, of the images `index`, (n,), at the queue's end and drops as many from its front."""
        self.queue.copy_(torch.cat([self.queue, keys])[len(keys) :])
        if self.owners is not None and index is not None:
            self.owners.copy_(torch.cat([self.owners, index])[len(index) :])
