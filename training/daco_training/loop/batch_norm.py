"""Batch norm in training over other rows than the current batch: those of all processes, or of each view."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Makes every batch norm of a network use the statistics of all processes' rows; parameters and keys are unchanged.

    On a GPU these are PyTorch's fused layers, which do not exist for a CPU.
    """
    if device.type == "cuda":
        convert_sync_batchnorm(network)
    else:
        _replace(network, WholeBatchNorm)


def separate(network: nn.Module, rows: int) -> None:
    """Makes every batch norm of a network use the statistics of each view separately, if several pass together.

    Args:
        rows: number of rows of a view.
    """
    _replace(network, lambda layer: ViewBatchNorm(layer, rows))


def _replace(network: nn.Module, replacement: Callable[[_BatchNorm], nn.Module]) -> None:
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, replacement(child))
        else:
            _replace(child, replacement)


class _OtherRows(_BatchNorm, ABC):
    """Base class of batch norms that share the parameters and buffers of the layer that they replace.

    Shape: (n, c, ...) to the same.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        # timm's combined layers of norm and activation
        self.then = nn.Sequential(layer.drop, layer.act) if isinstance(layer, BatchNormAct2d) else nn.Identity()
        self.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            rows = input.to(torch.promote_types(input.dtype, torch.float32))
            normalised = self._normalise(rows).to(input.dtype)
        else:
            normalised = super().forward(input)
        output: Tensor = self.then(normalised)
        return output

    @abstractmethod
    def _normalise(self, rows: Tensor) -> Tensor:
        """Normalises rows in training, with at least 32 bits."""

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        """Updates the running statistics with a batch of so many values per channel: mean and variance (c,)."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (rows / (rows - 1)), momentum)


class WholeBatchNorm(_OtherRows):
    """A batch norm with the statistics of all processes' rows together; gradients flow through them, too.

    All processes must have the same number of rows.
    """

    def _normalise(self, rows: Tensor) -> Tensor:
        dims = [dim for dim in range(rows.ndim) if dim != 1]
        mean = _mean_over_processes(rows.mean(dims, keepdim=True))
        centred = rows - mean
        variance = _mean_over_processes(centred.square().mean(dims, keepdim=True))
        self._track(mean.flatten(), variance.flatten(), rows.numel() // rows.size(1) * distributed.get_world_size())
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return centred * scale
        shape = variance.shape
        return centred * (scale * self.weight.view(shape)) + self.bias.view(shape)


class ViewBatchNorm(_OtherRows):
    """A batch norm for several views in one batch, each with its own statistics, as if they passed one by one.

    Args:
        rows: number of rows of a view; the first view's rows come first.
    """

    def __init__(self, layer: _BatchNorm, rows: int) -> None:
        super().__init__(layer)
        self.rows = rows

    def _normalise(self, rows: Tensor) -> Tensor:
        views = rows.view(-1, self.rows, *rows.shape[1:])
        shape = [1, 1, -1] + [1] * (rows.ndim - 2)
        weight: Tensor = self.weight if self.affine else rows.new_ones(self.num_features)
        bias: Tensor = self.bias if self.affine else rows.new_zeros(self.num_features)
        normalised, mean, variance = EachNormalised.apply(  # type: ignore[no-untyped-call]
            views, weight.view(shape), bias.view(shape), self.eps
        )
        for own_mean, own_variance in zip(mean.flatten(1), variance.flatten(1), strict=True):
            self._track(own_mean, own_variance, views[0].numel() // self.num_features)
        return torch.as_tensor(normalised.flatten(0, 1))


class EachNormalised(Function):
    """Normalises each view's channels to mean 0 and deviation 1, scales and shifts; also returns mean and variance.

    The gradient in closed form reads the data less often than what autograd derives from the formula.

    Shape: views (v, n, c, ...), weight and bias (1, 1, c, ...); returns the shape of views, and twice (v, 1, c, ...).

    Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015, algorithm 1 and the gradients in section 3.
    """

    @staticmethod
    def forward(
        context: FunctionCtx, views: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        variance, mean = torch.var_mean(views, _within(views), correction=0, keepdim=True)
        scale = (variance + eps).rsqrt()
        context.save_for_backward(views, mean, scale, weight)
        context.mark_non_differentiable(mean, variance)
        return (views - mean) * (scale * weight) + bias, mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        views, mean, scale, weight = context.saved_tensors
        normalised = (views - mean) * scale
        to_bias = gradient.sum(_within(views), keepdim=True)
        to_weight = (gradient * normalised).sum(_within(views), keepdim=True)
        count = views[0].numel() // views.size(2)
        to_views = (gradient - (to_bias + normalised * to_weight) / count) * (scale * weight)
        return to_views, to_weight.sum(0, keepdim=True), to_bias.sum(0, keepdim=True), None


def _within(views: Tensor) -> list[int]:
    """The dimensions over which each view's channels are normalised."""
    return [dim for dim in range(views.ndim) if dim not in (0, 2)]


class MeanOverProcesses(Function):
    """The mean of a tensor over all processes; the gradient is also averaged, as every process uses the same mean."""

    @staticmethod
    def forward(context: FunctionCtx, values: Tensor) -> Tensor:
        return _mean(values)

    @staticmethod
    def backward(context: FunctionCtx, gradient: Tensor) -> Tensor:
        return _mean(gradient)


def _mean(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total.div_(distributed.get_world_size())


def _mean_over_processes(values: Tensor) -> Tensor:
    mean: Tensor = MeanOverProcesses.apply(values)  # type: ignore[no-untyped-call]
    return mean
