"""Recall of an encoder on a data set's validation photographs."""

from collections.abc import Sequence

from training.datasets.layout import DataSet
from training.descriptors import describe_files
from training.encoder import Encoder
from training.recall import Recalls, domain_recalls


def can_validate(dataset: DataSet) -> bool:
    """Whether the first two domains have aligned validation pairs: photographs, and as many of one as of the other."""
    counts = [len(dataset.images(domain, "val")) for domain in dataset.domains[:2]]
    return len(counts) == 2 and counts[0] == counts[1] > 0


def validation_recalls(encoder: Encoder, dataset: DataSet, ranks: Sequence[int]) -> dict[str, Recalls]:
    """The published recalls between `domain_a` and `domain_b`: direction to rank to fraction.

    Leaves the encoder in evaluation mode.

    Raises:
        UnreadableImage: a validation photograph is broken.
    """
    encoder.eval()
    a, b = (dataset.images(domain, "val") for domain in dataset.domains[:2])
    vectors = describe_files(encoder, [*a, *b], "validation")
    return domain_recalls(vectors[: len(a)], vectors[len(a) :], ranks)
