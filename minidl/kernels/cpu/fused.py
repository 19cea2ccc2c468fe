"""Neighbouring operations as one on the CPU, for captured steps; formulas and shapes in ``plain/fused.py``.

What is saved are trips to memory: a ReLU costs nothing in the registers of a convolution or in a pass that something
else needs anyway, and what only backward would read again is made anew there from what is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv import convolve_fused, convolve_pooled
from minidl.kernels.cpu.gemm import gemm_fused
from minidl.kernels.cpu.normalization import (
    BLOCK,
    grain_of,
    join_statistics,
    join_sums,
    rows_of,
    statistics,
    statistics_pieces,
    vector,
)
from minidl.kernels.cpu.pooling import max_pool2d_backward, max_pool2d_relu_forward
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain.fused import DEAD

__all__ = [
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


def conv2d_relu_forward(
    x: Any, weight: Any, bias: Any | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:
    return convolve_fused(x, weight, bias, stride, padding, dilation, groups, relu=True)


def linear_relu_forward(x: Any, weight: Any, bias: Any | None) -> Any:
    return gemm_fused(x, weight.T, bias, relu=True)


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
    convolution = x, weight, bias, stride, padding, dilation, groups
    pairs = window["kernel_size"] == window["stride"] == (2, 2) and window["padding"] == (0, 0)
    if pairs and window["dilation"] == (1, 1):
        oh, ow = window["output_size"]
        found = convolve_pooled(*convolution)
        if found is not None and found[0].shape[2:] == (oh, ow):  # not with ceil_mode, where windows may overhang
            return found
    return max_pool2d_relu_forward(convolve_fused(*convolution, relu=False), **window)


@njit(**OPTIONS)
def _masked_sum(grad: Any, keep: Any, threshold: Any, dx: Any, total: Any) -> None:
    """For a piece (rows, K): dx = grad where keep > threshold, else 0; total (K,) is its sum, in float64."""
    total[:] = 0
    zero = grad.dtype.type(0)
    for r in range(grad.shape[0]):
        g, y, out = grad[r], keep[r], dx[r]
        for k in range(g.size):
            out[k] = g[k] if y[k] > threshold else zero
        for k in range(g.size):
            total[k] += out[k]


@njit(parallel=True, **OPTIONS)
def _masked_sum_pieces(grad: Any, keep: Any, threshold: Any, grain: int, dx: Any, totals: Any) -> None:
    for i in prange(len(totals)):
        part = slice(i * grain, (i + 1) * grain)
        _masked_sum(grad[part], keep[part], threshold, dx[part], totals[i])


def _join(totals: Any, channels: int, dtype: Any) -> Any:
    """Pieces' sums (pieces, f * C) -> (C,), one piece after the other."""
    return totals.sum(axis=0).reshape(-1, channels).sum(axis=0).astype(dtype)  # (f * C,) -> (f, C) -> (C,)


def relu_backward_sum(grad: Any, y: Any) -> tuple[Any, Any]:
    rows, kept = rows_of(grad), rows_of(y)
    dx = np.empty(rows.shape, rows.dtype)
    grain = grain_of(rows)
    totals = np.zeros((max(-(-len(rows) // grain), 1), rows.shape[1]))
    zero = rows.dtype.type(0)
    if len(totals) == 1:
        _masked_sum(rows, kept, zero, dx, totals[0])
    else:
        with parallel_region():
            _masked_sum_pieces(rows, kept, zero, grain, dx, totals)
    return _shaped(dx, grad.shape), _join(totals, grad.shape[1], grad.dtype)


def _shaped(rows: Any, shape: tuple[int, ...]) -> Any:
    """Rows as ``rows_of`` gives them, in the shape (N, C), (N, C, L) or (N, C, H, W) that they had."""
    x = rows.reshape(shape[0], *shape[2:], shape[1])  # (P / f, f * C) -> (N, ..., C)
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))  # (N, ..., C) -> (N, C, ...)


@njit(**OPTIONS)
def _sum_alive(grad: Any, positions: Any, total: Any) -> None:
    """total (K,): the sum of grad (rows, K) where positions are not DEAD."""
    total[:] = 0
    zero = grad.dtype.type(0)
    for r in range(grad.shape[0]):
        g, position = grad[r], positions[r]
        for k in range(g.size):
            total[k] += g[k] if position[k] != DEAD else zero


@njit(parallel=True, **OPTIONS)
def _sum_alive_pieces(grad: Any, positions: Any, grain: int, totals: Any) -> None:
    for i in prange(len(totals)):
        part = slice(i * grain, (i + 1) * grain)
        _sum_alive(grad[part], positions[part], totals[i])


def max_pool2d_relu_backward(
    grad: Any,
    positions: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> tuple[Any, Any]:
    grad = from_channels_last(channels_last(grad))
    dx = max_pool2d_backward(grad, positions, input_shape, kernel_size, stride, padding, dilation)
    rows, kept = rows_of(grad), rows_of(positions)
    grain = grain_of(rows)
    totals = np.zeros((max(-(-len(rows) // grain), 1), rows.shape[1]))
    if len(totals) == 1:
        _sum_alive(rows, kept, totals[0])
    else:
        with parallel_region():
            _sum_alive_pieces(rows, kept, grain, totals)
    return dx, _join(totals, grad.shape[1], grad.dtype)


# Batch normalisation, ReLU and average pooling. x is (N, H, W, K), the pooled result (N, H / q, W / q, K); without
# pooling q = 1, and images are rows (1, P, 1, K). Work is shared by rows of the result.


@njit(**OPTIONS)
def _apply(x: Any, lanes: Any, start: int, stop: int, y: Any) -> None:
    """y = the mean over a window of max(0, (x - center) * scale + shift), lanes (3, K) = center, scale, shift."""
    _, oh, ow, channels = y.shape
    q = x.shape[2] // ow
    center, scale, shift = lanes[0], lanes[1], lanes[2]
    zero, by = y.dtype.type(0), y.dtype.type(4)
    for row in range(start, stop):
        n, h = row // oh, row % oh
        for w in range(ow):
            if q == 1:
                for k in range(channels):
                    v = (x[n, h, w, k] - center[k]) * scale[k] + shift[k]
                    y[n, h, w, k] = zero if v < 0 else v
            else:
                for k in range(channels):
                    a = (x[n, 2 * h, 2 * w, k] - center[k]) * scale[k] + shift[k]
                    b = (x[n, 2 * h, 2 * w + 1, k] - center[k]) * scale[k] + shift[k]
                    c = (x[n, 2 * h + 1, 2 * w, k] - center[k]) * scale[k] + shift[k]
                    d = (x[n, 2 * h + 1, 2 * w + 1, k] - center[k]) * scale[k] + shift[k]
                    a, b = zero if a < 0 else a, zero if b < 0 else b
                    c, d = zero if c < 0 else c, zero if d < 0 else d
                    y[n, h, w, k] = ((a + b) + (c + d)) / by


@njit(parallel=True, **OPTIONS)
def _apply_pieces(x: Any, lanes: Any, grain: int, y: Any) -> None:
    rows = y.shape[0] * y.shape[1]
    for i in prange((rows + grain - 1) // grain):
        _apply(x, lanes, i * grain, min((i + 1) * grain, rows), y)


# The gradient works on whole rows of pixels, vectors of L = W * K numbers, with the channels' numbers repeated for each
# pixel: long loops over few arrays, which is what the compiler vectorises. Pixel by pixel takes twice the time.

PIECE = 4 * GRAIN  # of the gradient, which adds its pieces' sums up in one thread


@njit(**OPTIONS)
def _spread(grad: Any, channels: int, out: Any) -> None:
    """A row of the pooled gradient (L / 2,), a quarter of each number given to both pixels of a window: out (L,)."""
    by = grad.dtype.type(4)
    for w in range(grad.size // channels):
        for k in range(channels):
            share = grad[w * channels + k] / by
            out[2 * w * channels + k] = share
            out[(2 * w + 1) * channels + k] = share


@njit(**OPTIONS)
def _mask(x: Any, grad: Any, lanes: Any, out: Any) -> None:
    """out = grad where ReLU let x pass, else 0, for one row (L,); lanes (3, L) = center, scale, shift."""
    center, scale, shift = lanes[0], lanes[1], lanes[2]
    zero = out.dtype.type(0)
    for i in range(x.size):
        v = (x[i] - center[i]) * scale[i] + shift[i]
        out[i] = grad[i] if v > 0 else zero


@njit(**OPTIONS)
def _fold(row: Any, total: Any) -> None:
    """Add a row (L,) to total (K,), pixel by pixel."""
    channels = total.size
    for first in range(0, row.size, channels):
        for k in range(channels):
            total[k] += row[first + k]


@njit(**OPTIONS)
def _masked_sums(
    grad: Any, x: Any, lanes: Any, channels: int, start: int, stop: int, totals: Any, scratch: Any
) -> None:
    """totals (2, K): sums of the masked gradient and of its product with x - center; scratch (4, L).

    grad (R, L / q), x (q R, L), q = 1 or 2; rows start to stop of grad.
    """
    q = x.shape[1] // grad.shape[1]
    center = lanes[0]
    masked, shares, part, other = scratch[0], scratch[1], scratch[2], scratch[3]
    totals[:] = 0
    for begin in range(start, stop, BLOCK // 2):
        part[:] = 0
        other[:] = 0
        for row in range(begin, min(begin + BLOCK // 2, stop)):
            if q == 2:
                _spread(grad[row], channels, shares)
            else:
                shares = grad[row]
            for i in range(q):
                pixels = x[q * row + i]
                _mask(pixels, shares, lanes, masked)
                for k in range(pixels.size):
                    part[k] += masked[k]
                    other[k] += masked[k] * (pixels[k] - center[k])
        _fold(part, totals[0])
        _fold(other, totals[1])


@njit(parallel=True, **OPTIONS)
def _masked_sums_pieces(grad: Any, x: Any, lanes: Any, channels: int, grain: int, totals: Any, scratch: Any) -> None:
    for i in prange(len(totals)):
        _masked_sums(grad, x, lanes, channels, i * grain, min((i + 1) * grain, len(grad)), totals[i], scratch[i])


@njit(**OPTIONS)
def _input_gradient(
    grad: Any,
    x: Any,
    lanes: Any,
    slopes: Any,
    channels: int,
    start: int,
    stop: int,
    dx: Any,
    total: Any,
    scratch: Any,
) -> None:
    """dx = (masked gradient - offset - (x - center) * slope) * factor, total (K,) its sum; slopes (4, L): join_sums."""
    q = x.shape[1] // grad.shape[1]
    center, slope, offset, factor = lanes[0], slopes[1], slopes[2], slopes[3]
    masked, shares, part = scratch[0], scratch[1], scratch[2]
    total[:] = 0
    for begin in range(start, stop, BLOCK // 2):
        part[:] = 0
        for row in range(begin, min(begin + BLOCK // 2, stop)):
            if q == 2:
                _spread(grad[row], channels, shares)
            else:
                shares = grad[row]
            for i in range(q):
                pixels, out = x[q * row + i], dx[q * row + i]
                _mask(pixels, shares, lanes, masked)
                for k in range(pixels.size):
                    out[k] = (masked[k] - offset[k] - (pixels[k] - center[k]) * slope[k]) * factor[k]
                for k in range(pixels.size):
                    part[k] += out[k]
        _fold(part, total)


@njit(parallel=True, **OPTIONS)
def _input_gradient_pieces(
    grad: Any, x: Any, lanes: Any, slopes: Any, channels: int, grain: int, dx: Any, totals: Any, scratch: Any
) -> None:
    for i in prange(len(totals)):
        stop = min((i + 1) * grain, len(grad))
        _input_gradient(grad, x, lanes, slopes, channels, i * grain, stop, dx, totals[i], scratch[i])


def _images(x: Any, pool: int) -> Any:
    """x as (N, H, W, C), or without pooling as (1, P, 1, K)."""
    if pool > 1:
        return channels_last(x)
    rows = rows_of(x)
    return rows.reshape(1, len(rows), 1, rows.shape[1])


def batch_norm_relu_forward(
    x: Any, weight: Any | None, bias: Any | None, epsilon: float, pool: int
) -> tuple[Any, Any, Any, Any]:
    rows = rows_of(x)
    weight, bias = vector(weight, 1, x), vector(bias, 0, x)
    grain = grain_of(rows)
    totals, squares = np.zeros((2, max(-(-len(rows) // grain), 1), rows.shape[1]))
    vectors, lanes = np.empty((3, x.shape[1]), x.dtype), np.empty((3, rows.shape[1]), x.dtype)
    images = _images(x, pool)
    N, H, W, K = images.shape
    y = np.empty((N, H // pool, W // pool, K), x.dtype)
    of_statistics = len(rows), grain, weight, bias, float(epsilon), vectors, lanes
    if len(totals) == 1:
        if len(rows):  # an empty batch has sums of zero
            statistics(rows, totals[0], squares[0])
        join_statistics(totals, squares, *of_statistics)
        _apply(images, lanes[:, :K].copy(), 0, y.shape[0] * y.shape[1], y)
    else:
        with parallel_region():
            statistics_pieces(rows, grain, totals, squares)
            join_statistics(totals, squares, *of_statistics)
            _apply_pieces(images, lanes[:, :K].copy(), _grain_of_results(images, pool), y)
    shape = (*x.shape[:2], H // pool, W // pool) if pool > 1 else x.shape
    return _shaped(y, shape), vectors[0], vectors[1], vectors[2]


def _grain_of_results(images: Any, pool: int) -> int:
    """Rows of the result in a piece of work."""
    return max(1, GRAIN // max(pool * images.shape[2] * images.shape[3], 1))


def batch_norm_relu_backward(
    grad: Any, x: Any, weight: Any | None, bias: Any | None, mean: Any, inverse_std: Any, pool: int
) -> tuple[Any, Any, Any, Any]:
    images, grads = _images(x, pool), _images(grad, pool)
    dx = np.empty(images.shape, x.dtype)
    N, H, W, K = images.shape
    # (N, H, W, K) -> (N * H, W * K)
    images, rows, grads = images.reshape(N * H, W * K), dx.reshape(N * H, W * K), grads.reshape(-1, W // pool * K)
    channels, L = x.shape[1], W * K
    weight, bias, mean = vector(weight, 1, x), vector(bias, 0, x), vector(mean, 0, x)
    inverse_std = vector(inverse_std, 1, x)
    lanes = np.tile(np.stack([mean, inverse_std * weight, bias]), L // max(channels, 1))
    grain = max(1, PIECE // max(pool * L, 1))
    pieces = max(-(-len(grads) // grain), 1)
    totals, scratch, sums = np.zeros((pieces, 2, K)), np.empty((pieces, 4, L), x.dtype), np.zeros((pieces, K))
    vectors, slopes = np.empty((2, channels), x.dtype), np.empty((4, K), x.dtype)
    of_sums = max(x.size // max(channels, 1), 1), weight, mean, inverse_std, vectors, slopes
    if pieces == 1:
        _masked_sums(grads, images, lanes, K, 0, len(grads), totals[0], scratch[0])
        join_sums(totals[:, 0].copy(), totals[:, 1].copy(), *of_sums)
        slopes = np.tile(slopes, W)
        _input_gradient(grads, images, lanes, slopes, K, 0, len(grads), rows, sums[0], scratch[0])
    else:
        with parallel_region():
            _masked_sums_pieces(grads, images, lanes, K, grain, totals, scratch)
            join_sums(totals[:, 0].copy(), totals[:, 1].copy(), *of_sums)
            slopes = np.tile(slopes, W)
            _input_gradient_pieces(grads, images, lanes, slopes, K, grain, rows, sums, scratch)
    return _shaped(dx, x.shape), vectors[0], vectors[1], _join(sums, channels, x.dtype)
