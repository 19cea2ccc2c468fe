"""Max pooling on the CPU: channels-last memory, vector lanes over channels; average pooling is in pooling_mean.py.

Formulas and shapes stand in ``plain/pooling.py``. Windows of 2 x 2 with stride 2 have loops of their own: four loads,
one store, no window arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.pooling_mean import (
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool2d_forward,
    avg_pool2d_backward,
    avg_pool2d_forward,
)
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain import pooling as plain
from minidl.kernels.plain.fused import DEAD

__all__ = [
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
]

Pair = tuple[int, int]

LANES = 16  # float32 values in the widest vector


@njit(**OPTIONS)
def _wins(value: Any, best: Any) -> bool:
    """Whether a later value replaces the best one so far: the first of equals stays, NaN always wins."""
    return (value > best) | (value != value)


# The loops below index the whole array, x[row, column, k], instead of slicing a vector of channels first: a slice costs
# more than the few channels of a small network, and hides from the compiler that the four inputs are one array.


@njit(**OPTIONS)
def _max_pairs(x: Any, start: int, stop: int, relu: bool, y: Any, positions: Any) -> None:
    """Windows 2 x 2 with stride 2: x (N, H, W, C) -> y (N, oh, ow, C), rows start ... stop - 1 of its N * oh rows.

    With ``relu`` y is max(y, 0), and the position DEAD where that is not above 0.
    """
    _, oh, ow, channels = y.shape
    for row in range(start, stop):
        n, h = row // oh, row % oh
        for w in range(ow):
            for k in range(channels):
                best, position = x[n, 2 * h, 2 * w, k], np.uint8(0)
                value = x[n, 2 * h, 2 * w + 1, k]
                if _wins(value, best):
                    best, position = value, np.uint8(1)
                value = x[n, 2 * h + 1, 2 * w, k]
                if _wins(value, best):
                    best, position = value, np.uint8(2)
                value = x[n, 2 * h + 1, 2 * w + 1, k]
                if _wins(value, best):
                    best, position = value, np.uint8(3)
                if relu:
                    position = position if best > 0 else np.uint8(DEAD)
                    best = y.dtype.type(0) if best < 0 else best
                y[n, h, w, k] = best
                positions[n, h, w, k] = position


@njit(parallel=True, **OPTIONS)
def _max_pairs_pieces(x: Any, relu: bool, y: Any, positions: Any) -> None:
    for row in prange(y.shape[0] * y.shape[1]):
        _max_pairs(x, row, row + 1, relu, y, positions)


@njit(**OPTIONS)
def _max_rows(
    x: Any, start: int, stop: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, y: Any, positions: Any
) -> None:
    """As ``_max_pairs`` for any window."""
    _, height, width, channels = x.shape
    _, oh, ow, _ = y.shape
    for output_row in range(start, stop):
        n, h = output_row // oh, output_row % oh
        top = h * stride[0] - padding[0]
        first_i = min((max(-top, 0) + dilation[0] - 1) // dilation[0], kernel[0] - 1)
        for w in range(ow):
            left = w * stride[1] - padding[1]
            first_j = min((max(-left, 0) + dilation[1] - 1) // dilation[1], kernel[1] - 1)
            first = np.uint8(first_i * kernel[1] + first_j)
            for k in range(channels):
                y[n, h, w, k] = -np.inf
                positions[n, h, w, k] = first
            for i in range(first_i, kernel[0]):
                row = top + i * dilation[0]
                if row < 0 or row >= height:
                    continue
                for j in range(first_j, kernel[1]):
                    column = left + j * dilation[1]
                    if column < 0 or column >= width:
                        continue
                    tap = np.uint8(i * kernel[1] + j)
                    for k in range(channels):
                        value, best = x[n, row, column, k], y[n, h, w, k]
                        wins = _wins(value, best)
                        y[n, h, w, k] = value if wins else best
                        positions[n, h, w, k] = tap if wins else positions[n, h, w, k]


@njit(parallel=True, **OPTIONS)
def _max_pieces(x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, y: Any, positions: Any) -> None:
    for row in prange(y.shape[0] * y.shape[1]):
        _max_rows(x, row, row + 1, kernel, stride, padding, dilation, y, positions)


@njit(**OPTIONS)
def _pairs_backward(grad: Any, positions: Any, start: int, stop: int, dx: Any) -> None:
    """Images start ... stop - 1, windows 2 x 2 with stride 2: grad and positions (N, oh, ow, C), dx (N, H, W, C)."""
    _, oh, ow, channels = grad.shape
    zero = grad.dtype.type(0)
    for n in range(start, stop):
        if channels < LANES:  # one value at a time: so few channels would not fill a vector
            dx[n] = 0
            for h in range(oh):
                for w in range(ow):
                    for k in range(channels):
                        position = np.int64(positions[n, h, w, k])
                        if position != DEAD:
                            dx[n, 2 * h + (position >> 1), 2 * w + (position & 1), k] = grad[n, h, w, k]
            continue
        for h in range(oh):
            for w in range(ow):
                for tap in range(4):  # a loop for each tap: the compiler need not compare four places for overlap
                    row, column = 2 * h + tap // 2, 2 * w + tap % 2
                    for k in range(channels):
                        dx[n, row, column, k] = grad[n, h, w, k] if positions[n, h, w, k] == tap else zero
        dx[n, 2 * oh :] = 0  # the odd row and column that no window sees
        dx[n, :, 2 * ow :] = 0


@njit(parallel=True, **OPTIONS)
def _pairs_backward_pieces(grad: Any, positions: Any, dx: Any) -> None:
    for n in prange(len(dx)):
        _pairs_backward(grad, positions, n, n + 1, dx)


@njit(**OPTIONS)
def _max_backward(
    grad: Any,
    positions: Any,
    start: int,
    stop: int,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    dx: Any,
) -> None:
    """As ``_pairs_backward`` for any window."""
    _, height, width, channels = dx.shape
    zero = grad.dtype.type(0)
    for n in range(start, stop):
        dx[n] = 0
        for h in range(grad.shape[1]):
            for w in range(grad.shape[2]):
                for i in range(kernel[0]):
                    row = h * stride[0] - padding[0] + i * dilation[0]
                    if row < 0 or row >= height:
                        continue
                    for j in range(kernel[1]):
                        column = w * stride[1] - padding[1] + j * dilation[1]
                        if column < 0 or column >= width:
                            continue
                        tap = np.uint8(i * kernel[1] + j)
                        for k in range(channels):
                            dx[n, row, column, k] += grad[n, h, w, k] if positions[n, h, w, k] == tap else zero


@njit(parallel=True, **OPTIONS)
def _max_backward_pieces(
    grad: Any, positions: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, dx: Any
) -> None:
    for n in prange(len(dx)):
        _max_backward(grad, positions, n, n + 1, kernel, stride, padding, dilation, dx)


def _in_pairs(size: Any, output_size: Any, kernel_size: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether all windows are 2 x 2, stride 2, inside the image (a stride of 2 leaves dilation no room to matter)."""
    return (
        kernel_size == (2, 2)
        and stride == (2, 2)
        and padding == (0, 0)
        and 2 * output_size[0] <= size[0]
        and 2 * output_size[1] <= size[1]
    )


@njit(**OPTIONS)
def _relu_windows(y: Any, positions: Any) -> None:
    """What _max_pairs does with ``relu``, on flat results of any windows."""
    for i in range(y.size):
        value = y[i]
        positions[i] = positions[i] if value > 0 else np.uint8(DEAD)
        y[i] = y.dtype.type(0) if value < 0 else value


def max_pool2d_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    if kernel_size[0] * kernel_size[1] > 255:  # positions would not fit in a byte: too rare for kernels of its own
        return plain.max_pool2d_forward(x, kernel_size, stride, padding, dilation, output_size)
    return _max_pool2d(x, kernel_size, stride, padding, dilation, output_size, False)


def max_pool2d_relu_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    """As in ``plain/fused.py``."""
    return _max_pool2d(x, kernel_size, stride, padding, dilation, output_size, True)


def _max_pool2d(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair, relu: bool
) -> tuple[Any, Any]:
    nhwc = channels_last(x)
    shape = (x.shape[0], *output_size, x.shape[1])
    y, positions = np.empty(shape, dtype=x.dtype), np.empty(shape, dtype=np.uint8)
    pairs = dilation == (1, 1) and _in_pairs(x.shape[2:], output_size, kernel_size, stride, padding)
    window = kernel_size, stride, padding, dilation
    if x.size <= GRAIN:
        if pairs:
            _max_pairs(nhwc, 0, shape[0] * shape[1], relu, y, positions)
        else:
            _max_rows(nhwc, 0, shape[0] * shape[1], *window, y, positions)
    else:
        with parallel_region():
            if pairs:
                _max_pairs_pieces(nhwc, relu, y, positions)
            else:
                _max_pieces(nhwc, *window, y, positions)
    if relu and not pairs:
        _relu_windows(y.reshape(-1), positions.reshape(-1))
    return from_channels_last(y), from_channels_last(positions)


def max_pool2d_backward(
    grad: Any,
    positions: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Any:
    if positions.dtype != np.uint8:
        return plain.max_pool2d_backward(grad, positions, input_shape, kernel_size, stride, padding, dilation)
    batch, channels, height, width = input_shape
    dx = np.empty((batch, height, width, channels), dtype=grad.dtype)
    pairs = dilation == (1, 1) and _in_pairs((height, width), grad.shape[2:], kernel_size, stride, padding)
    grad, positions = channels_last(grad), channels_last(positions)
    window = kernel_size, stride, padding, dilation
    if dx.size <= GRAIN:
        if pairs:
            _pairs_backward(grad, positions, 0, batch, dx)
        else:
            _max_backward(grad, positions, 0, batch, *window, dx)
    else:
        with parallel_region():
            if pairs:
                _pairs_backward_pieces(grad, positions, dx)
            else:
                _max_backward_pieces(grad, positions, *window, dx)
    return from_channels_last(dx)
