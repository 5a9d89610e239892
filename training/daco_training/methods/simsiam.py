"""SimSiam: each view of an image predicts the features of the other view; there are no negatives."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def simsiam_loss(first: Tensor, second: Tensor, first_target: Tensor, second_target: Tensor) -> Tensor:
    """The symmetric negative cosine similarity between predictions p and the targets z of the other view:

        -(cos(p1, stop_gradient(z2)) + cos(p2, stop_gradient(z1))) / 2

    No gradient flows through the targets; otherwise all descriptors would collapse to one.

    Source: Chen, He, "Exploring Simple Siamese Representation Learning", CVPR 2021, eq. 1 and 4,
    https://arxiv.org/abs/2011.10566.

    Args:
        first, second: (n, c) predictions from the two views; they need not be normalised.
        first_target, second_target: (n, c) the features of the two views; they need not be normalised.

    Returns:
        A scalar in -1..1.

    Examples:
        >>> import torch
        >>> simsiam_loss(torch.eye(4), torch.eye(4), torch.eye(4), torch.eye(4)).item()
        -1.0
    """
    there = functional.cosine_similarity(first.float(), second_target.detach().float(), dim=-1)
    back = functional.cosine_similarity(second.float(), first_target.detach().float(), dim=-1)
    return -0.5 * (there.mean() + back.mean())


class SimSiam(Method):
    """SimSiam: `simsiam_loss` of two views of each original.

    As in the published code of DaCo, one head is both projector and predictor: it maps the encoder's features,
    (n, dimension), to 512 numbers and back, and the targets are the features of the other view.

    Source: Chen and He, CVPR 2021, https://arxiv.org/abs/2011.10566.
    """

    sources = ("original", "original")

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor, spots: Sequence[Tensor] = ()) -> Tensor:
        (first, first_features), (second, second_features) = project.with_features(*views)
        return simsiam_loss(first, second, first_features, second_features)
