"""MoCo: a view attracts another view as a slowly moving copy of the network sees it; a queue of past ones repels."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE of each query with its key against a queue.

    Source: He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
    CVPR 2020, eq. 1.

    Args:
        query, key: (n, c) L2-normalised; row i of one is the positive of row i of the other.
        queue: (negs, c) L2-normalised negatives.

    Returns:
        A scalar.
    """
    positive = (query * key).sum(dim=-1, keepdim=True)
    logits = torch.cat([positive, query @ queue.T], dim=-1).float() / temperature
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
    """

    sources = ("original", "original")
    queue: Tensor

    def __init__(self, network: nn.Module, negs: int, proj_dim: int, temperature: float, momentum: float) -> None:
        super().__init__()
        self._network = [network]  # in a list: the network in training is no part of this module
        self.key_network = copy.deepcopy(network).requires_grad_(False)
        self.key_network.train()  # all of it, but for a frozen backbone
        self.register_buffer("queue", functional.normalize(torch.randn(negs, proj_dim), dim=-1))
        self.temperature = temperature
        self.momentum = momentum
        self._keys: Tensor | None = None

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        first, second = views
        (query,) = project(first)
        shuffle = torch.randperm(len(second)).to(second.device)
        with torch.no_grad(), project.precision():
            (shuffled,) = self.key_network(second[shuffle])
        self._keys = project.gather(shuffled[shuffle.argsort()].float())
        return moco_loss(query, self._keys, self.queue, self.temperature)

    @torch.no_grad()
    def after_step(self) -> None:
        if self._keys is not None:
            self.enqueue(self._keys)
        for parameter, key in zip(self._network[0].parameters(), self.key_network.parameters(), strict=True):
            key.mul_(self.momentum).add_(parameter, alpha=1.0 - self.momentum)

    def enqueue(self, keys: Tensor) -> None:
        """Puts (n, c) keys at the queue's end and drops as many from its front."""
        self.queue.copy_(torch.cat([self.queue, keys])[len(keys) :])
