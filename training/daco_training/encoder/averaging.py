"""Interpolates the weights of two encoders, which often combines the strengths of both."""

from dataclasses import replace

from torch import Tensor

from daco_core.encoder.config import FORM
from daco_core.errors import UsageError
from daco_training.encoder.encoder import Encoder


def average_encoders(first: Encoder, second: Encoder, share: float) -> Encoder:
    """Interpolates the weights of two encoders: (1 - share) first + share second.

    Source: Wortsman et al., "Robust Fine-tuning of Zero-shot Models", CVPR 2022, section 3 (WiSE-FT).

    Args:
        first, second: encoders with the same layers, trained from the same initial weights.
        share: weight of the second, 0..1.

    Returns:
        The first encoder, changed in place; its description of the training contains those of both.

    Raises:
        UsageError: their layers or preparation differ, or the share is not in 0..1.
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
