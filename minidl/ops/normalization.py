"""Batch normalisation."""

from __future__ import annotations

import math
from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import is_grad_enabled
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.matmul import ChannelSum
from minidl.ops.promotion import require_float

__all__ = ["batch_norm"]


def _column(values: Any, ndim: int) -> Any:
    """(C,) -> (1, C, 1, ...), to stand beside (N, C, ...)."""
    return values.reshape((1, -1) + (1,) * (ndim - 2))


def update_statistics(
    running_mean: Any, running_var: Any, mean: Any, variance: Any, count: int, momentum: float
) -> None:
    """Move the running statistics (C,), where given, towards those of a batch of ``count`` elements a channel."""
    if running_mean is not None and count:
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (variance * (count / max(count - 1, 1)) - running_var)


class BatchNorm(Function):
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with the batch's own mean and variance (Ioffe &
    Szegedy).

    The running statistics, where given, move towards the batch's by ``momentum``, with the unbiased variance.
    """

    def forward(
        self, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, epsilon: float
    ) -> Any:
        y, mean, variance, inverse_std = kernels.batch_norm_forward(x, weight, bias, epsilon)
        count = x.size // x.shape[1]
        update_statistics(running_mean, running_var, mean, variance, count, momentum)
        self.count, self.epsilon = count, epsilon
        self.save_for_backward(x, weight, mean, inverse_std)
        return y

    def backward(self, grad: Any) -> Any:
        x, weight, mean, inverse_std = self.saved_tensors
        if isinstance(grad, BaseTensor) and is_grad_enabled():
            gradients = self._composite(grad, x, weight)
        else:
            gradients = BatchNormGradient.evaluate(grad, x, weight, mean, inverse_std)
        return *[g if need else None for g, need in zip(gradients, self.needs_input_grad)], None, None

    def _composite(self, grad: Any, x: Any, weight: Any) -> Any:
        """The same gradients from differentiable operations, for create_graph alone; tested equal to the kernel's."""
        n, ndim = max(self.count, 1), x.ndim
        centred = x - _column(ChannelSum.evaluate(x) / n, ndim)
        variance = ChannelSum.evaluate(centred * centred) / n
        inverse_std = (variance + self.epsilon) ** -0.5
        normalized = centred * _column(inverse_std, ndim)
        dbias = ChannelSum.evaluate(grad)
        dweight = ChannelSum.evaluate(grad * normalized)
        scale = inverse_std if weight is None else inverse_std * weight
        dx = _column(scale / n, ndim) * (grad * n - _column(dbias, ndim) - normalized * _column(dweight, ndim))
        return dx, dweight, dbias


class BatchNormGradient(Function):
    """The three gradients of batch normalisation at once; for a differentiable form see ``BatchNorm._composite``."""

    def forward(self, grad: Any, x: Any, weight: Any, mean: Any, inverse_std: Any) -> Any:
        return kernels.batch_norm_backward(grad, x, weight, mean, inverse_std)


class ChannelAffine(Function):
    """y = x * scale + shift, with one scale and one shift a channel."""

    def forward(self, x: Any, scale: Any, shift: Any) -> Any:
        self.save_for_backward(x, scale)
        return kernels.channel_affine(x, scale, shift)

    def backward(self, grad: Any) -> Any:
        x, scale = self.saved_tensors
        need_x, need_scale, need_shift = self.needs_input_grad
        return (
            grad * _column(scale, grad.ndim) if need_x else None,
            ChannelSum.evaluate(grad * x) if need_scale else None,
            ChannelSum.evaluate(grad) if need_shift else None,
        )


def batch_norm(
    input: T,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> T:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, channel by channel.

    input: (N, C), (N, C, L), (N, C, H, W) or more axes. training: mean and biased variance are those of the batch, over
    all axes but C, and the running statistics (C,), where given, become (1 - momentum) * old + momentum * new in place,
    with the unbiased variance; otherwise the running statistics are used. weight, bias: (C,) or None (1 and 0). eps:
    above 0. Raises ShapeError (among others for one value a channel in training), ArgumentError, DTypeError. Source:
    torch.nn.functional.batch_norm; Ioffe & Szegedy 2015.
    """
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    given = {name: t for name, t in named.items() if t is not None}
    require_float("batch_norm", input, *given.values())
    shape = input.data.shape
    if len(shape) < 2:
        raise ShapeError("batch_norm", expected="input (N, C), (N, C, L) or (N, C, H, W)", got=str(shape))
    if len(shape) > 4:  # the kernels know at most two axes after C
        rows: Any = input.reshape(*shape[:3], math.prod(shape[3:]))  # type: ignore[attr-defined]
        y = batch_norm(rows, running_mean, running_var, weight, bias, training, momentum, eps)
        return y.reshape(*shape)
    for name, t in given.items():
        if t.data.shape != shape[1:2]:
            raise ShapeError(
                "batch_norm", expected=f"{name} of shape ({shape[1]},) (input: {shape})", got=str(t.data.shape)
            )
        if t.data.dtype != input.data.dtype:
            raise DTypeError("batch_norm", expected=f"{name} in {input.data.dtype}", got=str(t.data.dtype))
    if not eps > 0:
        raise ArgumentError("batch_norm", expected="eps above 0", got=str(eps))
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("batch_norm", expected="both running statistics or neither", got="one of them")
    if not training:
        return _with_running_statistics(input, running_mean, running_var, weight, bias, eps)
    if math.prod(shape) == shape[1]:
        raise ShapeError(
            "batch_norm",
            expected="more than one value a channel in training",
            got=f"input {shape}",
            hint="Use a larger batch, drop_last=True in the loader, or eval().",
        )
    y = BatchNorm.apply(input, weight, bias, running_mean, running_var, momentum=momentum, epsilon=eps)
    for statistic in (running_mean, running_var):
        if statistic is not None:
            statistic._version.value += 1
    return y


def _with_running_statistics(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
    if mean is None:
        raise ArgumentError("batch_norm", expected="running statistics when not training", got="None")
    scale = (variance.detach() + eps) ** -0.5
    shift = -mean.detach() * scale
    if weight is not None:
        scale, shift = scale * weight, shift * weight
    if bias is not None:
        shift = shift + bias
    return ChannelAffine.apply(x, scale, shift)
