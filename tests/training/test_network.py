"""Views that pass the network in one batch give the same result as views that pass it separately."""

import copy

import pytest
import torch

from daco_core.encoder.config import EncoderConfig
from daco_training.encoder.encoder import Encoder
from daco_training.loop.network import FEATURES, ContrastiveNetwork


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("backbone", ["resnet18", "test_efficientnet"])  # norms by themselves, and with an activation
def test_views_in_one_pass_have_separate_batch_statistics(backbone: str, frozen: bool) -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(backbone=backbone, image_size=64))
    single = ContrastiveNetwork(encoder, 16, frozen=frozen).double().to(memory_format=torch.channels_last).train()
    together = copy.deepcopy(single)
    together.pass_together(rows=4)
    views = [strength * torch.randn(4, 3, 64, 64, dtype=torch.double) + strength for strength in (1, 2, 3)]
    outputs = [network(*views, beside=FEATURES) for network in (single, together)]
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other)
    weights = [torch.randn_like(output) for output in outputs[0]]
    for output in outputs:
        sum((values * weight).sum() for values, weight in zip(output, weights, strict=True)).backward()
    largest = max(parameter.grad.norm() for parameter in single.parameters() if parameter.grad is not None)
    for one, other in zip(single.parameters(), together.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, atol=float(1e-12 * largest), rtol=1e-9)
    assert list(single.state_dict()) == list(together.state_dict())
    for name, values in single.state_dict().items():  # the running statistics, too
        torch.testing.assert_close(values, together.state_dict()[name], msg=name)
    torch.testing.assert_close(single.eval()(views[0]), together.eval()(views[0]))
