"""Average pooling on the CPU: channels-last memory, vector lanes over channels; formulas in plain/pooling.py."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.geometry import adaptive_bounds

__all__ = ["adaptive_avg_pool2d_backward", "adaptive_avg_pool2d_forward", "avg_pool2d_backward", "avg_pool2d_forward"]

Pair = tuple[int, int]


@njit(**OPTIONS)
def _mean_rows(x: Any, start: int, stop: int, rows: Any, columns: Any, divisor: Any, y: Any) -> None:
    """y[n, h, w] = sum of x[n, rows[h, 0] : rows[h, 1], columns[w, 0] : columns[w, 1]] / divisor[h, w].

    x (N, H, W, C), y (N, oh, ow, C), for rows start ... stop - 1 of the N * oh output rows.
    """
    _, oh, ow, channels = y.shape
    line = np.empty(channels, x.dtype)
    for row in range(start, stop):
        n, h = row // oh, row % oh
        top, bottom = rows[h, 0], rows[h, 1]
        for w in range(ow):
            left, right = columns[w, 0], columns[w, 1]
            by = divisor[h, w]
            if bottom - top == 2 and right - left == 2:
                for k in range(channels):
                    above = x[n, top, left, k] + x[n, top, left + 1, k]
                    y[n, h, w, k] = (above + (x[n, top + 1, left, k] + x[n, top + 1, left + 1, k])) / by
                continue
            for k in range(channels):
                y[n, h, w, k] = 0
            for r in range(top, bottom):
                # One line at a time, four pixels at a time: short sums lose fewer digits, and memory is touched less.
                line[:] = 0
                for s in range(left, right - 3, 4):
                    for k in range(channels):
                        line[k] += (x[n, r, s, k] + x[n, r, s + 1, k]) + (x[n, r, s + 2, k] + x[n, r, s + 3, k])
                for s in range(right - (right - left) % 4, right):
                    for k in range(channels):
                        line[k] += x[n, r, s, k]
                for k in range(channels):
                    y[n, h, w, k] += line[k]
            for k in range(channels):
                y[n, h, w, k] /= by


@njit(parallel=True, **OPTIONS)
def _mean_pieces(x: Any, rows: Any, columns: Any, divisor: Any, y: Any) -> None:
    for row in prange(y.shape[0] * y.shape[1]):
        _mean_rows(x, row, row + 1, rows, columns, divisor, y)


@njit(**OPTIONS)
def _mean_backward(
    grad: Any, start: int, stop: int, rows: Any, columns: Any, divisor: Any, tiled: bool, dx: Any
) -> None:
    """Images start ... stop - 1: grad (N, oh, ow, C), dx (N, H, W, C); ``tiled``: windows cover each pixel once."""
    _, oh, ow, channels = grad.shape
    share = np.empty(channels, grad.dtype)
    for n in range(start, stop):
        if not tiled:
            dx[n] = 0
        for h in range(oh):
            for w in range(ow):
                by = divisor[h, w]
                for k in range(channels):
                    share[k] = grad[n, h, w, k] / by
                for r in range(rows[h, 0], rows[h, 1]):
                    for s in range(columns[w, 0], columns[w, 1]):
                        if tiled:
                            for k in range(channels):
                                dx[n, r, s, k] = share[k]
                        else:
                            for k in range(channels):
                                dx[n, r, s, k] += share[k]


@njit(parallel=True, **OPTIONS)
def _mean_backward_pieces(grad: Any, rows: Any, columns: Any, divisor: Any, tiled: bool, dx: Any) -> None:
    for n in prange(len(dx)):
        _mean_backward(grad, n, n + 1, rows, columns, divisor, tiled, dx)


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
    if x.size <= GRAIN:
        _mean_rows(nhwc, 0, y.shape[0] * y.shape[1], *windows, y)
    else:
        with parallel_region():
            _mean_pieces(nhwc, *windows, y)
    return from_channels_last(y)


def _mean_gradient(grad: Any, input_shape: tuple[int, ...], windows: tuple[Any, Any, Any]) -> Any:
    batch, channels, height, width = input_shape
    dx = np.empty((batch, height, width, channels), dtype=grad.dtype)
    grad = channels_last(grad)
    rows, columns, _ = windows
    tiled = _tiles(rows, height) and _tiles(columns, width)
    if dx.size <= GRAIN:
        _mean_backward(grad, 0, batch, *windows, tiled, dx)
    else:
        with parallel_region():
            _mean_backward_pieces(grad, *windows, tiled, dx)
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
