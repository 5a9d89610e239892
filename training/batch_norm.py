"""Batch norm over the whole batch when several processes train, so that they train what one process would."""

import torch
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Makes every batch norm of a network take the statistics of all processes' rows; parameters and keys stay.

    On a GPU these are PyTorch's fused layers, which there are none of for a CPU.
    """
    if device.type == "cuda":
        convert_sync_batchnorm(network)
        return
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, WholeBatchNorm(child))
        else:
            synchronise(child, device)


class WholeBatchNorm(_BatchNorm):
    """A batch norm whose statistics, and whose gradients through them, are those of all processes' rows together.

    Every process holds as many rows as every other. Takes over the layer's parameters and buffers themselves.

    Shape: (n, c, ...) to the same.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        # timm's layer of norm and activation in one
        self.then = nn.Sequential(layer.drop, layer.act) if isinstance(layer, BatchNormAct2d) else nn.Identity()
        self.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            output: Tensor = self.then(super().forward(input))
            return output
        rows = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = [dim for dim in range(input.ndim) if dim != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        mean = _mean_over_processes(rows.mean(dims))
        centred = rows - mean.view(shape)
        variance = _mean_over_processes(centred.square().mean(dims))
        self._track(mean, variance, input.numel() // input.size(1))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        output = centred * scale.view(shape)
        if self.affine:
            output = output + self.bias.view(shape)
        output = self.then(output.to(input.dtype))
        return output

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        count = rows * distributed.get_world_size()
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)


class MeanOverProcesses(Function):
    """The mean of a tensor over all processes; so is its gradient, as every process uses the mean alike."""

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
