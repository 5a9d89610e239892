"""NPID: each image is a class of its own, told from samples of a memory bank by noise-contrastive estimation."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


class NPID(Method):
    """Non-parametric instance discrimination, as the published code trains it.

    Source: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018,
    eq. 4 to 8. The normaliser Z is estimated on the first batch and kept.

    Args:
        images: how many training images there are.
        negs: negatives drawn from the bank for each image, with replacement.
        proj_dim: the projections' length.
        temperature: divides the similarities.
        momentum: the share of the new projection in a bank row (published for NPID: 0.5).
        mask_copies: an image's own row is no negative of it where it is drawn as one (not published). With fewer
            images than `negs`, each image is drawn several times.
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
        self.register_buffer("normaliser", torch.zeros(()))  # 0 until the first batch fixes it
        self.negs = negs
        self.temperature = temperature
        self.momentum = momentum
        self.mask_copies = mask_copies
        self._seen: tuple[Tensor, Tensor] | None = None

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        (projections,) = project(*views)
        index = project.gather(index)
        draw = torch.randint(len(self.bank), (len(index), self.negs + 1)).to(index.device)
        self._seen = projections.detach(), index
        return self.nce(projections, index, draw)

    def nce(self, projections: Tensor, index: Tensor, draw: Tensor) -> Tensor:
        """The noise-contrastive loss; fixes the normaliser if this is the first batch.

        Args:
            projections: (n, c) L2-normalised.
            index: (n,) the bank rows of these images.
            draw: (n, 1 + negs) bank rows; the first column is overwritten by `index`.

        Returns:
            A scalar: the mean over the batch of -log h(positive) - sum of log(1 - h(negative)).
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
        """Moves the bank rows `index`, (n,), towards their new projections, (n, c), and normalises them."""
        mixed = projections.float() * self.momentum + self.bank[index] * (1.0 - self.momentum)
        self.bank[index] = functional.normalize(mixed, dim=-1)
