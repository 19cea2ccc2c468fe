"""Neighbouring operations as one, for captured steps: what is computed is what the operations compute one by one.

Each formula is the composition of the kernels named in it; the cpu form saves trips to memory. Positions of dead
windows, those whose largest element ReLU makes zero, are ``DEAD``: they get no gradient, so that ReLU's result need not
be kept. Axes as in the files of the kernels themselves.
"""

from __future__ import annotations

from typing import Any

from minidl.backend.arrays import namespace
from minidl.kernels.plain.activation import (
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
)
from minidl.kernels.plain.conv import conv2d_forward
from minidl.kernels.plain.gemm import channel_sum, gemm
from minidl.kernels.plain.normalization import batch_norm_backward, batch_norm_forward
from minidl.kernels.plain.pooling import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)

__all__ = [
    "DEAD",
    "MOST_TAPS",
    "batch_norm_relu_backward",
    "batch_norm_relu_forward",
    "conv2d_pool_relu_forward",
    "conv2d_relu_forward",
    "linear_relu_forward",
    "max_pool2d_relu_backward",
    "max_pool2d_relu_forward",
    "relu_backward_sum",
]

Pair = tuple[int, int]

DEAD = 255
MOST_TAPS = 254  # of a window: its positions and DEAD fit in a byte


def conv2d_relu_forward(
    x: Any, weight: Any, bias: Any | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:
    """relu(conv2d(x))."""
    return relu_forward(conv2d_forward(x, weight, bias, stride, padding, dilation, groups))


def conv2d_pool_relu_forward(
    x: Any,
    weight: Any,
    bias: Any | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    window: dict[str, Any],
) -> tuple[Any, Any]:
    """max_pool2d_relu_forward(conv2d(x)); window: the pooling's arguments by name."""
    return max_pool2d_relu_forward(conv2d_forward(x, weight, bias, stride, padding, dilation, groups), **window)


def linear_relu_forward(x: Any, weight: Any, bias: Any | None) -> Any:
    """relu(x W^T + b): x (N, K), weight (O, K), bias (O,) or None -> (N, O)."""
    return relu_forward(gemm(x, weight.T, bias))


def max_pool2d_relu_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    """relu(max_pool2d(x)), which is max_pool2d(relu(x)), and its positions, DEAD where the result is not above 0."""
    y, positions = max_pool2d_forward(x, kernel_size, stride, padding, dilation, output_size)
    y = relu_forward(y)
    positions[~(y > 0)] = DEAD
    return y, positions


def max_pool2d_relu_backward(
    grad: Any,
    positions: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> tuple[Any, Any]:
    """The gradient by x of max_pool2d_relu_forward, and its sum over all axes but the channels: (N, C, H, W), (C,)."""
    alive = positions != DEAD
    grad = grad * alive
    dx = max_pool2d_backward(grad, positions * alive, input_shape, kernel_size, stride, padding, dilation)
    return dx, channel_sum(grad)


def relu_backward_sum(grad: Any, y: Any) -> tuple[Any, Any]:
    """relu_backward(grad, y), and its sum over all axes but the second: a bias's gradient."""
    dx = relu_backward(grad, y)
    return dx, channel_sum(dx)


def batch_norm_relu_forward(
    x: Any, weight: Any | None, bias: Any | None, epsilon: float, pool: int, slope: float | None
) -> tuple[Any, Any, Any, Any]:
    """relu(batch_norm(x)), with a slope leaky_relu(batch_norm(x)), averaged over ``pool`` x ``pool`` windows.

    The windows cover the image; 1: as it is. Returns (y, mean (C,), biased variance (C,), inverse standard deviation
    (C,)).
    """
    y, mean, variance, inverse_std = batch_norm_forward(x, weight, bias, epsilon)
    y = relu_forward(y) if slope is None else leaky_relu_forward(y, slope)
    if pool > 1:
        size = x.shape[2] // pool, x.shape[3] // pool
        y = avg_pool2d_forward(y, (pool, pool), (pool, pool), (0, 0), size, True, None)
    return y, mean, variance, inverse_std


def batch_norm_relu_backward(
    grad: Any,
    x: Any,
    weight: Any | None,
    bias: Any | None,
    mean: Any,
    inverse_std: Any,
    pool: int,
    slope: float | None,
) -> tuple[Any, Any, Any, Any]:
    """The gradients of batch_norm_relu_forward by x, weight (C,) and bias (C,), and the channel sum (C,) of the first.

    Where ReLU let the gradient through is computed again from x.
    """
    if pool > 1:
        grad = avg_pool2d_backward(grad, x.shape, (pool, pool), (pool, pool), (0, 0), True, None)
    xp = namespace(x)
    column = (1, -1) + (1,) * (x.ndim - 2)  # (C,) -> (1, C, 1, ...)
    scale = inverse_std if weight is None else inverse_std * weight
    shift = xp.zeros_like(mean) if bias is None else bias
    y = (x - mean.reshape(column)) * scale.reshape(column) + shift.reshape(column)
    grad = relu_backward(grad, y) if slope is None else leaky_relu_backward(grad, y, slope)
    dx, dweight, dbias = batch_norm_backward(grad, x, weight, mean, inverse_std)
    return dx, dweight, dbias, channel_sum(dx)
