"""NPID: each image is its own class, learnt by noise-contrastive estimation against a memory bank."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


class NPID(Method):
    """Non-parametric instance discrimination: one view of each original, and a bank with a row for each image.

    Source: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018,
    eq. 4 to 8, https://arxiv.org/abs/1805.01978. The normaliser Z is estimated on the first batch and then constant.

    Args:
        images: the number of training images.
        negs: number of negatives drawn from the bank for each image, with replacement.
        proj_dim: the length c of a projection.
        temperature: divides the similarities.
        momentum: the share of the new projection in a row of the bank (published: 0.5).
        mask_copies: exclude an image's own row if it is drawn as a negative (not in the paper). With fewer images
            than `negs`, each image is drawn several times.
    """

    sources = ("original",)
    bank: Tensor
    normaliser: Tensor

    def __init__(
        self,
        images: int,
        negs: int,
        proj_dim: int,
        temperature: float,
        momentum: float,
        mask_copies: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("bank", functional.normalize(torch.randn(images, proj_dim), dim=-1))
        self.register_buffer("normaliser", torch.zeros(()))  # 0 until the first batch sets it
        self.negs = negs
        self.temperature = temperature
        self.momentum = momentum
        self.mask_copies = mask_copies
        self._seen: tuple[Tensor, Tensor] | None = None

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
        (projections,) = project(*views)
        index = project.gather(index)
        draw = torch.randint(len(self.bank), (len(index), self.negs + 1)).to(index.device)
        self._seen = projections.detach(), index
        return self.nce(projections, index, draw)

    def nce(self, projections: Tensor, index: Tensor, draw: Tensor) -> Tensor:
        """The noise-contrastive loss (eq. 7): the mean over the batch of -log h(own row) - sum of log(1 - h(negative)).

        With f the projection and v a row of the bank, P(v) = exp(v . f / temperature) / Z (eq. 4), and
        h(v) = P(v) / (P(v) + negs / images) (eq. 6). The first batch sets Z (eq. 8).

        Args:
            projections: (n, c) L2-normalised.
            index: (n,) the rows of these images in the bank.
            draw: (n, 1 + negs) rows of the bank; the first column is replaced by `index`.

        Returns:
            A scalar.
        """
        rows = torch.cat([index[:, None], draw[:, 1:]], dim=1)
        similarities = torch.einsum("nkc,nc->nk", self.bank[rows], projections.to(self.bank.dtype))
        likelihoods = (similarities / self.temperature).exp()
        if self.normaliser == 0:
            self.normaliser.copy_(likelihoods.detach().mean() * len(self.bank))
        probabilities = likelihoods / self.normaliser
        noise = self.negs / len(self.bank)  # negs times the uniform noise probability 1 / images
        positive = (probabilities[:, 0] / (probabilities[:, 0] + noise)).log()
        negative = (noise / (probabilities[:, 1:] + noise)).log()
        if self.mask_copies:
            negative = negative.masked_fill(rows[:, 1:] == index[:, None], 0.0)
        return -(positive.sum() + negative.sum()) / len(index)

    @torch.no_grad()
    def after_step(self) -> None:
        if self._seen is not None:
            self.remember(*self._seen)

    def remember(self, projections: Tensor, index: Tensor) -> None:
        """Moves the rows `index`, (n,), of the bank towards their new projections, (n, c), and normalises them."""
        mixed = projections.float() * self.momentum + self.bank[index] * (1.0 - self.momentum)
        self.bank[index] = functional.normalize(mixed, dim=-1)
