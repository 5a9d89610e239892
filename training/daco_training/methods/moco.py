"""MoCo: a view attracts another view of its image, encoded by a momentum network; a queue of earlier keys repels."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, temperature: float, masked: Tensor | None = None) -> Tensor:
    """InfoNCE: the mean over the queries q, each with positive key k+, of

        -log(exp(q . k+ / temperature) / (exp(q . k+ / temperature) + sum of exp(q . k / temperature) over the queue))

    Source: He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
    CVPR 2020, eq. 1, https://arxiv.org/abs/1911.05722.

    Args:
        query: (n, c) L2-normalised projections.
        key: (n, c) L2-normalised; row i is the positive of row i of `query`.
        queue: (negs, c) L2-normalised negatives.
        temperature: divides the similarities.
        masked: (n, negs), True if a negative is excluded for a query; None if all count.

    Returns:
        A scalar.

    Examples:
        >>> places = torch.eye(8)
        >>> alike = moco_loss(places[:4], places[:4], queue=places[4:], temperature=0.1)
        >>> unlike = moco_loss(places[:4], places[:4].flip(0), queue=places[4:], temperature=0.1)
        >>> bool(alike < 0.01 < unlike)
        True
    """
    positive = (query * key).sum(dim=-1, keepdim=True)
    negatives = query @ queue.T
    if masked is not None:
        negatives = negatives.masked_fill(masked, float("-inf"))
    logits = torch.cat([positive, negatives], dim=-1).float() / temperature
    return functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


class MoCo(Method):
    """MoCo: `moco_loss` of two views of each original, with a momentum network for the keys.

    After each step key_network = momentum * key_network + (1 - momentum) * network (eq. 2), for the parameters; the
    key network has batch-norm statistics of its own, of shuffled batches (section 3.3).

    Source: He et al., CVPR 2020, https://arxiv.org/abs/1911.05722.

    Args:
        network: the network in training; the key network starts as its copy.
        negs: the length of the queue.
        proj_dim: the length c of a projection.
        temperature: divides the similarities.
        momentum: the share of the key network that is kept at each step (published: 0.999).
        mask_copies: exclude older keys of an image from its negatives (not in the paper). With fewer images than
            `negs`, the queue holds several keys of each image.
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
        self._network = [network]  # in a list, so that the network in training is not a submodule
        self.key_network = copy.deepcopy(network).requires_grad_(False)
        self.key_network.train()  # a frozen backbone stays in evaluation mode
        self.register_buffer("queue", functional.normalize(torch.randn(negs, proj_dim), dim=-1))
        # the image of each key in the queue; -1 for none
        self.register_buffer("owners", torch.full((negs,), -1) if mask_copies else None)
        self.temperature = temperature
        self.momentum = momentum
        self._keys: Tensor | None = None
        self._index: Tensor | None = None

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
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
        """Appends keys, (n, c), of the images `index`, (n,), to the queue and drops as many from its front."""
        self.queue.copy_(torch.cat([self.queue, keys])[len(keys) :])
        if self.owners is not None and index is not None:
            self.owners.copy_(torch.cat([self.owners, index])[len(index) :])
