"""Pooling on the CPU: channels-last memory, vector lanes over channels; formulas and shapes in ``plain/pooling.py``.

Windows of 2 x 2 with stride 2 have loops of their own: four loads, one store, no window arithmetic.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.shared import OPTIONS
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.geometry import adaptive_bounds

__all__ = [
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
]

Pair = tuple[int, int]


@njit(**OPTIONS)
def _wins(value: Any, best: Any) -> bool:
    """Whether a later value replaces the best one so far: the first of equals stays, NaN always wins."""
    return (value > best) | (value != value)


@njit(**OPTIONS)
def _max_of_four(a: Any, b: Any, c: Any, d: Any, y: Any, positions: Any) -> None:
    for k in range(y.size):
        best, position = a[k], np.uint8(0)
        if _wins(b[k], best):
            best, position = b[k], np.uint8(1)
        if _wins(c[k], best):
            best, position = c[k], np.uint8(2)
        if _wins(d[k], best):
            best, position = d[k], np.uint8(3)
        y[k] = best
        positions[k] = position


@njit(**OPTIONS)
def _max_row(x: Any, h: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, y: Any, positions: Any) -> None:
    """Row h of the output (ow, C) of one image x (H, W, C), for any window."""
    height, width, channels = x.shape
    top = h * stride[0] - padding[0]
    first_i = min((max(-top, 0) + dilation[0] - 1) // dilation[0], kernel[0] - 1)
    for w in range(y.shape[0]):
        left = w * stride[1] - padding[1]
        first_j = min((max(-left, 0) + dilation[1] - 1) // dilation[1], kernel[1] - 1)
        best, position = y[w], positions[w]
        best[:] = -np.inf
        position[:] = first_i * kernel[1] + first_j
        for i in range(first_i, kernel[0]):
            row = top + i * dilation[0]
            if row < 0 or row >= height:
                continue
            for j in range(first_j, kernel[1]):
                column = left + j * dilation[1]
                if column < 0 or column >= width:
                    continue
                value = x[row, column]
                tap = positions.dtype.type(i * kernel[1] + j)
                for k in range(channels):
                    wins = _wins(value[k], best[k])
                    best[k] = value[k] if wins else best[k]
                    position[k] = tap if wins else position[k]


@njit(parallel=True, **OPTIONS)
def _max_forward(
    x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, pairs: bool, y: Any, positions: Any
) -> None:
    batch, oh, ow, _ = y.shape
    for row in prange(batch * oh):
        n, h = row // oh, row % oh
        if pairs:
            for w in range(ow):
                _max_of_four(
                    x[n, 2 * h, 2 * w],
                    x[n, 2 * h, 2 * w + 1],
                    x[n, 2 * h + 1, 2 * w],
                    x[n, 2 * h + 1, 2 * w + 1],
                    y[n, h, w],
                    positions[n, h, w],
                )
        else:
            _max_row(x[n], h, kernel, stride, padding, dilation, y[n, h], positions[n, h])


@njit(**OPTIONS)
def _spread_to_four(g: Any, positions: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    zero = g.dtype.type(0)
    for k in range(g.size):
        a[k] = g[k] if positions[k] == 0 else zero
        b[k] = g[k] if positions[k] == 1 else zero
        c[k] = g[k] if positions[k] == 2 else zero
        d[k] = g[k] if positions[k] == 3 else zero


@njit(**OPTIONS)
def _max_backward_image(
    grad: Any, positions: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, dx: Any
) -> None:
    """One image: grad and positions (oh, ow, C), dx (H, W, C)."""
    height, width, channels = dx.shape
    zero = grad.dtype.type(0)
    dx[:] = 0
    for h in range(grad.shape[0]):
        for w in range(grad.shape[1]):
            g, position = grad[h, w], positions[h, w]
            for i in range(kernel[0]):
                row = h * stride[0] - padding[0] + i * dilation[0]
                if row < 0 or row >= height:
                    continue
                for j in range(kernel[1]):
                    column = w * stride[1] - padding[1] + j * dilation[1]
                    if column < 0 or column >= width:
                        continue
                    d = dx[row, column]
                    tap = positions.dtype.type(i * kernel[1] + j)
                    for k in range(channels):
                        d[k] += g[k] if position[k] == tap else zero


@njit(parallel=True, **OPTIONS)
def _max_backward(
    grad: Any, positions: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, pairs: bool, dx: Any
) -> None:
    batch, oh, ow, _ = grad.shape
    for n in prange(batch):
        if pairs:
            image = dx[n]
            for h in range(oh):
                for w in range(ow):
                    _spread_to_four(
                        grad[n, h, w],
                        positions[n, h, w],
                        image[2 * h, 2 * w],
                        image[2 * h, 2 * w + 1],
                        image[2 * h + 1, 2 * w],
                        image[2 * h + 1, 2 * w + 1],
                    )
            image[2 * oh :] = 0  # the odd row and column that no window sees
            image[:, 2 * ow :] = 0
        else:
            _max_backward_image(grad[n], positions[n], kernel, stride, padding, dilation, dx[n])


@njit(parallel=True, **OPTIONS)
def _mean_forward(x: Any, rows: Any, columns: Any, divisor: Any, y: Any) -> None:
    """y[n, h, w] = sum of x[n, rows[h, 0] : rows[h, 1], columns[w, 0] : columns[w, 1]] / divisor[h, w]."""
    batch, oh, ow, channels = y.shape
    for row in prange(batch * oh):
        n, h = row // oh, row % oh
        top, bottom = rows[h]
        line = np.empty(channels, x.dtype)
        for w in range(ow):
            left, right = columns[w]
            out = y[n, h, w]
            by = divisor[h, w]
            if bottom - top == 2 and right - left == 2:
                a, b, c, d = x[n, top, left], x[n, top, left + 1], x[n, top + 1, left], x[n, top + 1, left + 1]
                for k in range(channels):
                    out[k] = ((a[k] + b[k]) + (c[k] + d[k])) / by
                continue
            out[:] = 0
            for r in range(top, bottom):
                line[:] = 0  # one line at a time: short sums lose fewer digits
                for s in range(left, right):
                    a = x[n, r, s]
                    for k in range(channels):
                        line[k] += a[k]
                for k in range(channels):
                    out[k] += line[k]
            for k in range(channels):
                out[k] /= by


@njit(parallel=True, **OPTIONS)
def _mean_backward(grad: Any, rows: Any, columns: Any, divisor: Any, dx: Any) -> None:
    batch, oh, ow, channels = grad.shape
    for n in prange(batch):
        image = dx[n]
        image[:] = 0
        share = np.empty(channels, grad.dtype)
        for h in range(oh):
            for w in range(ow):
                g = grad[n, h, w]
                by = divisor[h, w]
                for k in range(channels):
                    share[k] = g[k] / by
                for r in range(rows[h, 0], rows[h, 1]):
                    for s in range(columns[w, 0], columns[w, 1]):
                        d = image[r, s]
                        for k in range(channels):
                            d[k] += share[k]


def _in_pairs(size: Any, output_size: Any, kernel_size: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether all windows are 2 x 2, stride 2, inside the image (a stride of 2 leaves dilation no room to matter)."""
    return (
        kernel_size == (2, 2)
        and stride == (2, 2)
        and padding == (0, 0)
        and 2 * output_size[0] <= size[0]
        and 2 * output_size[1] <= size[1]
    )


def max_pool2d_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    nhwc = channels_last(x)
    shape = (x.shape[0], *output_size, x.shape[1])
    y = np.empty(shape, dtype=x.dtype)
    positions = np.empty(shape, dtype=np.uint8 if kernel_size[0] * kernel_size[1] <= 255 else np.int32)
    pairs = dilation == (1, 1) and _in_pairs(x.shape[2:], output_size, kernel_size, stride, padding)
    with parallel_region():
        _max_forward(nhwc, kernel_size, stride, padding, dilation, pairs, y, positions)
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
    batch, channels, height, width = input_shape
    dx = np.empty((batch, height, width, channels), dtype=grad.dtype)
    pairs = dilation == (1, 1) and _in_pairs((height, width), grad.shape[2:], kernel_size, stride, padding)
    grad, positions = channels_last(grad), channels_last(positions)
    with parallel_region():
        _max_backward(grad, positions, kernel_size, stride, padding, dilation, pairs, dx)
    return from_channels_last(dx)


@functools.lru_cache(maxsize=256)
def _windows(
    size: Pair,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
    dtype: Any,
) -> tuple[Any, Any, Any]:
    """What every window of an average pooling sees: rows (oh, 2), columns (ow, 2), and its divisor (oh, ow)."""
    bounds, lengths = [], []
    for axis in range(2):
        start = np.arange(output_size[axis]) * stride[axis] - padding[axis]
        stop = np.minimum(start + kernel_size[axis], size[axis] + padding[axis])
        inside = np.stack([np.clip(start, 0, size[axis]), np.clip(stop, 0, size[axis])], axis=1)
        bounds.append(inside)
        lengths.append(stop - start if count_include_pad else np.maximum(inside[:, 1] - inside[:, 0], 1))
    divisor = np.outer(*lengths) if divisor_override is None else np.full(output_size, divisor_override)
    return bounds[0], bounds[1], divisor.astype(dtype)


@functools.lru_cache(maxsize=256)
def _adaptive_windows(size: Pair, output_size: Pair, dtype: Any) -> tuple[Any, Any, Any]:
    """As ``_windows`` for adaptive pooling."""
    rows, columns = (
        np.array([adaptive_bounds(size[axis], output_size[axis], i) for i in range(output_size[axis])], dtype=np.int64)
        for axis in range(2)
    )
    rows, columns = rows.reshape(-1, 2), columns.reshape(-1, 2)
    return rows, columns, np.outer(rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]).astype(dtype)


def _mean(x: Any, output_size: Pair, windows: tuple[Any, Any, Any]) -> Any:
    nhwc = channels_last(x)
    y = np.empty((x.shape[0], *output_size, x.shape[1]), dtype=x.dtype)
    with parallel_region():
        _mean_forward(nhwc, *windows, y)
    return from_channels_last(y)


def _mean_gradient(grad: Any, input_shape: tuple[int, ...], windows: tuple[Any, Any, Any]) -> Any:
    batch, channels, height, width = input_shape
    dx = np.empty((batch, height, width, channels), dtype=grad.dtype)
    grad = channels_last(grad)
    with parallel_region():
        _mean_backward(grad, *windows, dx)
    return from_channels_last(dx)


def avg_pool2d_forward(
    x: Any,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    output_size: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    size = x.shape[2:]
    windows = _windows(size, output_size, kernel_size, stride, padding, count_include_pad, divisor_override, x.dtype)
    return _mean(x, output_size, windows)


def avg_pool2d_backward(
    grad: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    size, output_size = input_shape[2:], grad.shape[2:]
    windows = _windows(size, output_size, kernel_size, stride, padding, count_include_pad, divisor_override, grad.dtype)
    return _mean_gradient(grad, input_shape, windows)


def adaptive_avg_pool2d_forward(x: Any, output_size: Pair) -> Any:
    return _mean(x, output_size, _adaptive_windows(x.shape[2:], output_size, x.dtype))


def adaptive_avg_pool2d_backward(grad: Any, input_shape: tuple[int, ...]) -> Any:
    return _mean_gradient(grad, input_shape, _adaptive_windows(input_shape[2:], grad.shape[2:], grad.dtype))
