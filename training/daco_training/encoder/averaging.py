"""An encoder between two: what fine-tuning gains, without all that it forgets."""

from dataclasses import replace

from torch import Tensor

from daco_core.encoder.config import FORM
from daco_core.errors import UsageError
from daco_training.encoder.encoder import Encoder


def average_encoders(first: Encoder, second: Encoder, share: float) -> Encoder:
    """Weights a share of the way from one encoder's to another's: (1 - share) first + share second.

    Source: Wortsman et al., "Robust Fine-tuning of Zero-shot Models", CVPR 2022, section 3 (WiSE-FT).

    Args:
        first, second: of one form, and trained from the same weights, or what lies between them is nothing.
        share: 0..1.

    Returns:
        The first encoder, changed; what it says of its training is how both were trained.

    Raises:
        DacoError: they are not of one form, or the share is impossible.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"--share must be from 0 to 1, not {share}.")
    for name in FORM:
        one, other = getattr(first.config, name), getattr(second.config, name)
        if one != other:
            raise UsageError(
                f"These encoders cannot be interpolated: {name} is {one} in the first, {other} in the second."
            )
    others = second.state_dict()
    if first.state_dict().keys() != others.keys():
        raise UsageError("These encoders cannot be interpolated: they have different layers.")
    mixed = {name: _between(tensor, others[name], share) for name, tensor in first.state_dict().items()}
    first.load_state_dict(mixed)
    training = {**first.config.training, "averaged": {"share": share, "with": second.config.training}}
    first.config = replace(first.config, training=training, recall={})
    return first


def _between(one: Tensor, other: Tensor, share: float) -> Tensor:
    return one.lerp(other, share) if one.is_floating_point() else one
