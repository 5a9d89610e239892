"""SimSiam: from each view of an image its features in the other view are predicted; nothing repels."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from daco_training.methods.method import Method, Projector


def simsiam_loss(first: Tensor, second: Tensor, first_target: Tensor, second_target: Tensor) -> Tensor:
    """The negative cosine between each view's prediction and the other view's target, mean of both ways.

    Source: Chen, He, "Exploring Simple Siamese Representation Learning", CVPR 2021, eq. 2 and 4. No gradient flows
    through the targets, without which all images would end in one point.

    Args:
        first, second: (n, c) predictions, of any length.
        first_target, second_target: (n, c) what is to be predicted, of any length.

    Returns:
        A scalar in -1..1.
    """
    there = functional.cosine_similarity(first.float(), second_target.detach().float(), dim=-1)
    back = functional.cosine_similarity(second.float(), first_target.detach().float(), dim=-1)
    return -0.5 * (there.mean() + back.mean())


class SimSiam(Method):
    """SimSiam as the published code trains it: two views of each original.

    As published, one head is projector and predictor at once: it maps the encoder's features to 512 and back to their
    own length, and what it predicts are the features of the other view.
    """

    sources = ("original", "original")

    def loss(self, project: Projector, views: Sequence[Tensor], index: Tensor) -> Tensor:
        (first, first_features), (second, second_features) = project.with_features(*views)
        return simsiam_loss(first, second, first_features, second_features)
