"""The optimiser of a run, and its learning rate at each iteration."""

import math

from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from training.settings import TrainSettings

WARM_UP = 0.1  # of the run


def make_optimizer(settings: TrainSettings, network: nn.Module) -> Optimizer:
    """Adam as published, or AdamW that lets biases and norms be; of what is to be trained."""
    parameters = [weight for weight in network.parameters() if weight.requires_grad]
    if not settings.parts.schedule:
        return Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=settings.lr, fused=True)


def set_learning_rate(optimizer: Optimizer, settings: TrainSettings, iteration: int) -> None:
    """Sets the rate of an iteration, counted from 0: a function of it alone, so that a resumed run has the same."""
    if not settings.parts.schedule:
        return
    warm_up = max(round(WARM_UP * settings.iters), 1)
    rise = min((iteration + 1) / warm_up, 1.0)
    done = min(max(iteration - warm_up, 0) / max(settings.iters - warm_up, 1), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = settings.lr * rise * 0.5 * (1.0 + math.cos(math.pi * done))
