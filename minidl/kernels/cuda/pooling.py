"""Launches the kernels of ``pooling.cu``; formulas and shapes in ``plain/pooling.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.layout import to_channels_outermost
from minidl.kernels.cuda.shared import THREADS, WARP, blocks, empty_channels_outermost, program, window

__all__ = [
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "max_pool2d_gather",
]

Pair = tuple[int, int]

CUDA = program("pooling")
SMALL_WINDOW = 255  # taps: their numbers fit a byte
UNDILATED = 1, 1


def max_pool2d_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    x = to_channels_outermost(x)
    shape = *x.shape[:2], *output_size
    small = kernel_size[0] * kernel_size[1] <= SMALL_WINDOW
    y = empty_channels_outermost(x, shape)
    positions = empty_channels_outermost(x, shape, np.uint8 if small else np.int32)
    geometry = window(x.shape[2:], kernel_size, stride, padding, dilation, output_size)
    kernel = "max_pool_small" if small else "max_pool_large"
    CUDA.launch(kernel, blocks(y.size), THREADS, x, y, positions, geometry, -np.inf, y.size)
    return y, positions


def max_pool2d_backward(
    grad: Any,
    positions: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Any:
    grad, positions = to_channels_outermost(grad), to_channels_outermost(positions)
    dx = empty_channels_outermost(grad, input_shape)
    geometry = window(input_shape[2:], kernel_size, stride, padding, dilation, grad.shape[2:])
    kernel = "max_unpool_small" if positions.dtype == np.uint8 else "max_unpool_large"
    CUDA.launch(kernel, blocks(dx.size), THREADS, grad, positions, dx, geometry, dx.size)
    return dx


def max_pool2d_gather(x: Any, positions: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    x, positions = to_channels_outermost(x), to_channels_outermost(positions)
    y = empty_channels_outermost(x, positions.shape)
    geometry = window(x.shape[2:], kernel_size, stride, padding, dilation, positions.shape[2:])
    kernel = "max_gather_small" if positions.dtype == np.uint8 else "max_gather_large"
    CUDA.launch(kernel, blocks(y.size), THREADS, x, positions, y, geometry, y.size)
    return y


def avg_pool2d_forward(
    x: Any,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    output_size: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    x = to_channels_outermost(x)
    y = empty_channels_outermost(x, (*x.shape[:2], *output_size))
    geometry = window(x.shape[2:], kernel_size, stride, padding, UNDILATED, output_size)
    numbers = geometry, count_include_pad, divisor_override or 0, y.size
    CUDA.launch("avg_pool", blocks(y.size), THREADS, x, y, *numbers)
    return y


def avg_pool2d_backward(
    grad: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    grad = to_channels_outermost(grad)
    dx = empty_channels_outermost(grad, input_shape)
    geometry = window(input_shape[2:], kernel_size, stride, padding, UNDILATED, grad.shape[2:])
    numbers = geometry, count_include_pad, divisor_override or 0, dx.size
    CUDA.launch("avg_unpool", blocks(dx.size), THREADS, grad, dx, *numbers)
    return dx


def adaptive_avg_pool2d_forward(x: Any, output_size: Pair) -> Any:
    x = to_channels_outermost(x)
    H, W = x.shape[2:]
    y = empty_channels_outermost(x, (*x.shape[:2], *output_size))
    if not y.size:
        return y
    area = -(-H // output_size[0]) * -(-W // output_size[1])
    lanes = 1
    while lanes < WARP and 4 * lanes < area:  # so that a lane adds up about four numbers, or more in a large window
        lanes *= 2
    CUDA.launch("adaptive_pool", blocks(y.size * lanes), THREADS, x, y, H, W, *output_size, lanes, y.size)
    return y


def adaptive_avg_pool2d_backward(grad: Any, input_shape: tuple[int, ...]) -> Any:
    grad = to_channels_outermost(grad)
    dx = empty_channels_outermost(grad, input_shape)
    sizes = *input_shape[2:], *grad.shape[2:]
    CUDA.launch("adaptive_unpool", blocks(dx.size), THREADS, grad, dx, *sizes, dx.size)
    return dx
