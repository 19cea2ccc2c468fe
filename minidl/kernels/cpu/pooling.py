"""Pooling on the CPU: channels-last memory, vector lanes over channels; formulas and shapes in ``plain/pooling.py``.

Windows of 2 x 2 with stride 2 have loops of their own: four loads, one store, no window arithmetic.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
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

LANES = 16  # float32 values in the widest vector


@njit(**OPTIONS)
def _wins(value: Any, best: Any) -> bool:
    """Whether a later value replaces the best one so far: the first of equals stays, NaN always wins."""
    return (value > best) | (value != value)


# The loops below index the whole array, x[row, column, k], instead of slicing a vector of channels first: a slice costs
# more than the few channels of a small network, and hides from the compiler that the four inputs are one array.


@njit(**OPTIONS)
def _max_of_pairs(x: Any, h: int, y: Any, positions: Any) -> None:
    """Row h of 2 x 2 windows with stride 2: image x (H, W, C), y and positions (ow, C)."""
    ow, channels = y.shape
    for w in range(ow):
        for k in range(channels):
            best, position = x[2 * h, 2 * w, k], np.uint8(0)
            value = x[2 * h, 2 * w + 1, k]
            if _wins(value, best):
                best, position = value, np.uint8(1)
            value = x[2 * h + 1, 2 * w, k]
            if _wins(value, best):
                best, position = value, np.uint8(2)
            value = x[2 * h + 1, 2 * w + 1, k]
            if _wins(value, best):
                best, position = value, np.uint8(3)
            y[w, k] = best
            positions[w, k] = position


@njit(**OPTIONS)
def _max_row(x: Any, h: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, y: Any, positions: Any) -> None:
    """Row h of the output (ow, C) of one image x (H, W, C), for any window."""
    height, width, channels = x.shape
    top = h * stride[0] - padding[0]
    first_i = min((max(-top, 0) + dilation[0] - 1) // dilation[0], kernel[0] - 1)
    for w in range(y.shape[0]):
        left = w * stride[1] - padding[1]
        first_j = min((max(-left, 0) + dilation[1] - 1) // dilation[1], kernel[1] - 1)
        for k in range(channels):
            y[w, k] = -np.inf
            positions[w, k] = first_i * kernel[1] + first_j
        for i in range(first_i, kernel[0]):
            row = top + i * dilation[0]
            if row < 0 or row >= height:
                continue
            for j in range(first_j, kernel[1]):
                column = left + j * dilation[1]
                if column < 0 or column >= width:
                    continue
                tap = positions.dtype.type(i * kernel[1] + j)
                for k in range(channels):
                    value, best = x[row, column, k], y[w, k]
                    wins = _wins(value, best)
                    y[w, k] = value if wins else best
                    positions[w, k] = tap if wins else positions[w, k]


@njit(**OPTIONS)
def _max_forward_row(
    x: Any, h: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, pairs: bool, y: Any, positions: Any
) -> None:
    if pairs:
        _max_of_pairs(x, h, y, positions)
    else:
        _max_row(x, h, kernel, stride, padding, dilation, y, positions)


@njit(parallel=True, **OPTIONS)
def _max_forward(
    x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, pairs: bool, y: Any, positions: Any
) -> None:
    batch, oh = y.shape[:2]
    if x.size <= GRAIN:
        for n in range(batch):
            for h in range(oh):
                _max_forward_row(x[n], h, kernel, stride, padding, dilation, pairs, y[n, h], positions[n, h])
    else:
        for row in prange(batch * oh):
            n, h = row // oh, row % oh
            _max_forward_row(x[n], h, kernel, stride, padding, dilation, pairs, y[n, h], positions[n, h])


@njit(**OPTIONS)
def _pairs_backward_image(grad: Any, positions: Any, dx: Any) -> None:
    """One image of 2 x 2 windows with stride 2: grad and positions (oh, ow, C)."""
    oh, ow, channels = grad.shape
    zero = grad.dtype.type(0)
    if channels < LANES:  # one value at a time: so few channels would not fill a vector
        dx[:] = 0
        for h in range(oh):
            for w in range(ow):
                for k in range(channels):
                    position = np.int64(positions[h, w, k])
                    dx[2 * h + (position >> 1), 2 * w + (position & 1), k] = grad[h, w, k]
        return
    for h in range(oh):
        for w in range(ow):
            for tap in range(4):  # a loop for each tap: the compiler need not compare four places in dx for overlap
                row, column = 2 * h + tap // 2, 2 * w + tap % 2
                for k in range(channels):
                    dx[row, column, k] = grad[h, w, k] if positions[h, w, k] == tap else zero
    dx[2 * oh :] = 0  # the odd row and column that no window sees
    dx[:, 2 * ow :] = 0


@njit(**OPTIONS)
def _max_backward_image(
    grad: Any, positions: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, dx: Any
) -> None:
    """One image, any window: grad and positions (oh, ow, C), dx (H, W, C)."""
    height, width, channels = dx.shape
    zero = grad.dtype.type(0)
    dx[:] = 0
    for h in range(grad.shape[0]):
        for w in range(grad.shape[1]):
            for i in range(kernel[0]):
                row = h * stride[0] - padding[0] + i * dilation[0]
                if row < 0 or row >= height:
                    continue
                for j in range(kernel[1]):
                    column = w * stride[1] - padding[1] + j * dilation[1]
                    if column < 0 or column >= width:
                        continue
                    tap = positions.dtype.type(i * kernel[1] + j)
                    for k in range(channels):
                        dx[row, column, k] += grad[h, w, k] if positions[h, w, k] == tap else zero


@njit(parallel=True, **OPTIONS)
def _max_backward(
    grad: Any, positions: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, pairs: bool, dx: Any
) -> None:
    if dx.size <= GRAIN:
        for n in range(len(dx)):
            if pairs:
                _pairs_backward_image(grad[n], positions[n], dx[n])
            else:
                _max_backward_image(grad[n], positions[n], kernel, stride, padding, dilation, dx[n])
    else:
        for n in prange(len(dx)):
            if pairs:
                _pairs_backward_image(grad[n], positions[n], dx[n])
            else:
                _max_backward_image(grad[n], positions[n], kernel, stride, padding, dilation, dx[n])


@njit(**OPTIONS)
def _mean_row(x: Any, top: int, bottom: int, columns: Any, divisor: Any, y: Any) -> None:
    """y (ow, C): y[w] = sum of x[top : bottom, columns[w, 0] : columns[w, 1]] / divisor[w] for an image (H, W, C)."""
    channels = x.shape[2]
    line = np.empty(channels, x.dtype)
    for w in range(y.shape[0]):
        left, right = columns[w, 0], columns[w, 1]
        by = divisor[w]
        if bottom - top == 2 and right - left == 2:
            for k in range(channels):
                above = x[top, left, k] + x[top, left + 1, k]
                y[w, k] = (above + (x[top + 1, left, k] + x[top + 1, left + 1, k])) / by
            continue
        for k in range(channels):
            y[w, k] = 0
        for r in range(top, bottom):
            # One line at a time, four pixels at a time: short sums lose fewer digits, and memory is touched less.
            line[:] = 0
            for s in range(left, right - 3, 4):
                for k in range(channels):
                    line[k] += (x[r, s, k] + x[r, s + 1, k]) + (x[r, s + 2, k] + x[r, s + 3, k])
            for s in range(right - (right - left) % 4, right):
                for k in range(channels):
                    line[k] += x[r, s, k]
            for k in range(channels):
                y[w, k] += line[k]
        for k in range(channels):
            y[w, k] /= by


@njit(parallel=True, **OPTIONS)
def _mean_forward(x: Any, rows: Any, columns: Any, divisor: Any, y: Any) -> None:
    batch, oh = y.shape[:2]
    if x.size <= GRAIN:
        for n in range(batch):
            for h in range(oh):
                _mean_row(x[n], rows[h, 0], rows[h, 1], columns, divisor[h], y[n, h])
    else:
        for row in prange(batch * oh):
            n, h = row // oh, row % oh
            _mean_row(x[n], rows[h, 0], rows[h, 1], columns, divisor[h], y[n, h])


@njit(**OPTIONS)
def _mean_backward_image(grad: Any, rows: Any, columns: Any, divisor: Any, tiled: bool, dx: Any) -> None:
    """One image: grad (oh, ow, C), dx (H, W, C); ``tiled``: the windows cover every pixel exactly once."""
    oh, ow, channels = grad.shape
    share = np.empty(channels, grad.dtype)
    if not tiled:
        dx[:] = 0
    for h in range(oh):
        for w in range(ow):
            by = divisor[h, w]
            for k in range(channels):
                share[k] = grad[h, w, k] / by
            for r in range(rows[h, 0], rows[h, 1]):
                for s in range(columns[w, 0], columns[w, 1]):
                    if tiled:
                        for k in range(channels):
                            dx[r, s, k] = share[k]
                    else:
                        for k in range(channels):
                            dx[r, s, k] += share[k]


@njit(parallel=True, **OPTIONS)
def _mean_backward(grad: Any, rows: Any, columns: Any, divisor: Any, tiled: bool, dx: Any) -> None:
    if dx.size <= GRAIN:
        for n in range(len(dx)):
            _mean_backward_image(grad[n], rows, columns, divisor, tiled, dx[n])
    else:
        for n in prange(len(dx)):
            _mean_backward_image(grad[n], rows, columns, divisor, tiled, dx[n])


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


def _tiles(bounds: Any, size: int) -> bool:
    """Whether windows with these bounds (o, 2) cover 0 ... size - 1 exactly once."""
    edges = bounds.ravel()
    return edges.size > 0 and edges[0] == 0 and edges[-1] == size and bool((edges[1:-1:2] == edges[2::2]).all())


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
    rows, columns, _ = windows
    tiled = _tiles(rows, height) and _tiles(columns, width)
    with parallel_region():
        _mean_backward(grad, *windows, tiled, dx)
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
