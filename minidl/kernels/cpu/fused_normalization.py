"""Batch normalisation, (leaky) ReLU and average pooling as one on the CPU; formulas and shapes in ``plain/fused.py``.

The slope is LeakyReLU's and None for ReLU, for which Numba compiles code of its own: with a slope of 0 an infinity
would become NaN.

Backward reads what forward kept and makes the mask anew. It goes through memory in flat runs of WIDTH numbers that
begin with channel 0, with the channels' numbers repeated along a table of the same length and the sums beside them: all
at constant distances in one array, so that the compiler sees that nothing overlaps and vectorises one loop over few
arrays. (64 x 32 channels x 32 x 32, pooled: 0.7 ms on two threads; 1.5 with loops over whole rows of pixels.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.normalization import (
    BLOCK,
    grain_of,
    join_statistics,
    join_sums,
    like,
    rows_of,
    statistics,
    statistics_pieces,
    vector,
)
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["batch_norm_relu_backward", "batch_norm_relu_forward"]

# Forward. x is (N, H, W, K), the pooled result (N, H / q, W / q, K); without pooling q = 1, and images are rows
# (1, P, 1, K). Work is shared by rows of the result.


@njit(**OPTIONS)
def _rectify(v: Any, slope: Any, zero: Any) -> Any:
    """ReLU or LeakyReLU of a number; NaN stays NaN."""
    if slope is None:
        return zero if v < 0 else v
    return v if v > 0 else v * slope


@njit(**OPTIONS)
def _rectify_gradient(g: Any, v: Any, slope: Any, zero: Any) -> Any:
    """The gradient by v of _rectify(v), given that by its result."""
    if slope is None:
        return g if v > 0 else zero
    return g if v > 0 else g * slope


@njit(**OPTIONS)
def _apply(x: Any, lanes: Any, slope: Any, start: int, stop: int, y: Any) -> None:
    """y = the mean over a window of rectified (x - center) * scale + shift, lanes (3, K) = center, scale, shift."""
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
                    y[n, h, w, k] = _rectify(v, slope, zero)
            else:
                for k in range(channels):
                    a = (x[n, 2 * h, 2 * w, k] - center[k]) * scale[k] + shift[k]
                    b = (x[n, 2 * h, 2 * w + 1, k] - center[k]) * scale[k] + shift[k]
                    c = (x[n, 2 * h + 1, 2 * w, k] - center[k]) * scale[k] + shift[k]
                    d = (x[n, 2 * h + 1, 2 * w + 1, k] - center[k]) * scale[k] + shift[k]
                    a, b = _rectify(a, slope, zero), _rectify(b, slope, zero)
                    c, d = _rectify(c, slope, zero), _rectify(d, slope, zero)
                    y[n, h, w, k] = ((a + b) + (c + d)) / by


@njit(parallel=True, **OPTIONS)
def _apply_pieces(x: Any, lanes: Any, slope: Any, grain: int, y: Any) -> None:
    rows = y.shape[0] * y.shape[1]
    for i in prange((rows + grain - 1) // grain):
        _apply(x, lanes, slope, i * grain, min((i + 1) * grain, rows), y)


def _images(x: Any, pool: int) -> Any:
    """x as (N, H, W, C), or without pooling as (1, P, 1, K)."""
    if pool > 1:
        return channels_last(x)
    rows = rows_of(x)
    return rows.reshape(1, len(rows), 1, rows.shape[1])


def _number(slope: float | None, x: Any) -> Any:
    """The slope as a number of x's dtype."""
    return None if slope is None else x.dtype.type(slope)


def batch_norm_relu_forward(
    x: Any, weight: Any | None, bias: Any | None, epsilon: float, pool: int, slope: float | None
) -> tuple[Any, Any, Any, Any]:
    rows, slope = rows_of(x), _number(slope, x)
    weight, bias = vector(weight, 1, x), vector(bias, 0, x)
    grain = grain_of(rows)
    totals, squares = np.zeros((2, max(-(-len(rows) // grain), 1), rows.shape[1]))
    vectors, lanes = np.empty((3, x.shape[1]), x.dtype), np.empty((3, rows.shape[1]), x.dtype)
    images = _images(x, pool)
    N, H, W, K = images.shape
    if pool > 1:
        out = np.empty((N, H // pool, W // pool, K), x.dtype)
        y = from_channels_last(out)
    else:
        y, out_rows = like(x)
        out = out_rows.reshape(images.shape)
    of_statistics = len(rows), grain, weight, bias, float(epsilon), vectors, lanes
    if len(totals) == 1:
        if len(rows):  # an empty batch has sums of zero
            statistics(rows, totals[0], squares[0])
        join_statistics(totals, squares, *of_statistics)
        _apply(images, lanes[:, :K].copy(), slope, 0, out.shape[0] * out.shape[1], out)
    else:
        with parallel_region():
            statistics_pieces(rows, grain, totals, squares)
            join_statistics(totals, squares, *of_statistics)
            _apply_pieces(images, lanes[:, :K].copy(), slope, _grain_of_results(images, pool), out)
    return y, vectors[0], vectors[1], vectors[2]


def _grain_of_results(images: Any, pool: int) -> int:
    """Rows of the result in a piece of work."""
    return max(1, GRAIN // max(pool * images.shape[2] * images.shape[3], 1))


# Backward. x and dx are flat, in rows of L numbers: a row of pixels where there is pooling, else about ROW numbers;
# grad is flat too, and a row of it, L / q long, belongs to q rows of x.

WIDTH = 512  # numbers in a run: with 256 and with 1024 a tenth slower, with 64 twice as slow
ROW = 8 * WIDTH
PIECE = 4 * GRAIN  # numbers of x in a piece of work; one thread adds the pieces' sums up

# Positions in the tables: the channels' numbers, then sums.
CENTER, SCALE, SHIFT, SLOPE, OFFSET, FACTOR = range(0, 6 * WIDTH, WIDTH)
MASKED, PRODUCT = 3 * WIDTH, 4 * WIDTH  # for the sums, where the first three numbers are enough
TOTAL = 6 * WIDTH


@njit(**OPTIONS)
def _tables(numbers: Any, sums: int) -> Any:
    """numbers (F, C) repeated along runs, and sums of zero: (T, (F + sums) * WIDTH).

    One table, T = 1, is for all runs, which then hold whole pixels; more than WIDTH channels have a table a part.
    """
    fields, channels = numbers.shape
    tables = np.zeros((max((channels + WIDTH - 1) // WIDTH, 1), (fields + sums) * WIDTH), numbers.dtype)
    for t in range(len(tables) if channels else 0):
        for f in range(fields):
            c = t * WIDTH
            for k in range(WIDTH):
                tables[t, f * WIDTH + k] = numbers[f, c]
                c = c + 1 if c + 1 < channels else 0
    return tables


@njit(**OPTIONS)
def _flush(tables: Any, first: int, sums: Any) -> None:
    """Add the tables' sums, which begin at ``first``, to sums (T, S * WIDTH) in float64, and set them to zero."""
    zero = tables.dtype.type(0)
    for t in range(len(tables)):
        part, total = tables[t, first:], sums[t]
        for k in range(part.size):
            total[k] += part[k]
        for k in range(part.size):
            part[k] = zero


@njit(**OPTIONS)
def _gather(sums: Any, totals: Any) -> None:
    """The sums of runs (T, S * WIDTH), channel by channel: totals (S, C)."""
    channels = totals.shape[1]
    totals[:] = 0
    for t in range(len(sums)):
        for s in range(len(totals)):
            c = t * WIDTH
            for k in range(min(WIDTH, channels - c) if len(sums) > 1 else WIDTH // channels * channels):
                totals[s, c] += sums[t, s * WIDTH + k]
                c = c + 1 if c + 1 < channels else 0


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
def _sum_run(x: Any, grad: Any, slope: Any, table: Any) -> None:
    """Add the masked gradient and its product with x - center to the table's sums."""
    zero = x.dtype.type(0)
    for k in range(x.size):
        d = x[k] - table[CENTER + k]
        g = _rectify_gradient(grad[k], d * table[SCALE + k] + table[SHIFT + k], slope, zero)
        table[MASKED + k] += g
        table[PRODUCT + k] += g * d


@njit(**OPTIONS)
def _change_run(x: Any, grad: Any, slope: Any, table: Any, dx: Any) -> None:
    """dx = (masked gradient - offset - (x - center) * slope) * factor, added to the table's sum."""
    zero = x.dtype.type(0)
    for k in range(x.size):
        d = x[k] - table[CENTER + k]
        g = _rectify_gradient(grad[k], d * table[SCALE + k] + table[SHIFT + k], slope, zero)
        g = (g - table[OFFSET + k] - d * table[SLOPE + k]) * table[FACTOR + k]
        dx[k] = g
        table[TOTAL + k] += g


@njit(**OPTIONS)
def _piece(
    grad: Any, x: Any, slope: Any, q: int, L: int, tables: Any, first: int, start: int, stop: int, dx: Any, totals: Any
) -> None:
    """Rows start to stop of grad: the sums (2, C) that dx needs, or where dx is not empty, dx and its sum (1, C)."""
    channels = totals.shape[1]
    tables = tables.copy()
    sums = np.zeros((len(tables), len(totals) * WIDTH))
    shares = np.empty(L, x.dtype)
    stride = WIDTH // channels * channels if len(tables) == 1 else channels
    added = 0  # numbers in each sum since the last flush
    for row in range(start, stop):
        g = grad[row * (L // q) : (row + 1) * (L // q)]
        if q == 2:
            _spread(g, channels, shares)
            g = shares
        for i in range(q * row, q * row + q):
            begin, end = i * L, min((i + 1) * L, x.size)
            for pixel in range(begin, end, stride):
                for t in range(len(tables)):
                    a = pixel + t * WIDTH
                    b = min(a + WIDTH, pixel + stride, end)
                    if dx.size:
                        _change_run(x[a:b], g[a - begin : b - begin], slope, tables[t], dx[a:b])
                    else:
                        _sum_run(x[a:b], g[a - begin : b - begin], slope, tables[t])
                added += 1
                if added == BLOCK:
                    _flush(tables, first, sums)
                    added = 0
    _flush(tables, first, sums)
    _gather(sums, totals)


@njit(parallel=True, **OPTIONS)
def _pieces(
    grad: Any, x: Any, slope: Any, q: int, L: int, tables: Any, first: int, grain: int, dx: Any, totals: Any
) -> None:
    rows = -(-x.size // (q * L))
    for i in prange(len(totals)):
        _piece(grad, x, slope, q, L, tables, first, i * grain, min((i + 1) * grain, rows), dx, totals[i])


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
    channels = x.shape[1]
    dx, dx_rows = like(x)
    flat = dx_rows.reshape(-1)
    values, grads = (
        (channels_last(a) if pool > 1 else rows_of(a)).reshape(-1) for a in (x, grad)
    )  # (N, H, W, C) or (P / f, f * C) -> (P * C,)
    L = channels * (x.shape[3] if pool > 1 else max(ROW // max(channels, 1), 1))
    grain = max(1, PIECE // max(pool * L, 1))
    pieces = max(-(-x.size // max(grain * pool * L, 1)), 1)
    weight, bias, mean = vector(weight, 1, x), vector(bias, 0, x), vector(mean, 0, x)
    inverse_std = vector(inverse_std, 1, x)
    numbers = np.stack([mean, inverse_std * weight, bias])
    totals, sums = np.zeros((pieces, 2, channels)), np.zeros((pieces, 1, channels))
    vectors, slopes = np.empty((2, channels), x.dtype), np.empty((4, channels), x.dtype)
    of_sums = max(x.size // max(channels, 1), 1), weight, mean, inverse_std, vectors, slopes
    none, shape = flat[:0], (values, _number(slope, x), pool, L)
    if pieces == 1:
        rows = -(-x.size // max(pool * L, 1))
        if rows:  # an empty batch has sums of zero
            _piece(grads, *shape, _tables(numbers, 2), MASKED, 0, rows, none, totals[0])
        join_sums(totals[:, 0].copy(), totals[:, 1].copy(), *of_sums)
        if rows:
            numbers = np.concatenate([numbers, slopes[1:]])  # (3, C), (3, C) -> (6, C)
            _piece(grads, *shape, _tables(numbers, 1), TOTAL, 0, rows, flat, sums[0])
    else:
        with parallel_region():
            _pieces(grads, *shape, _tables(numbers, 2), MASKED, grain, none, totals)
            join_sums(totals[:, 0].copy(), totals[:, 1].copy(), *of_sums)
            numbers = np.concatenate([numbers, slopes[1:]])  # (3, C), (3, C) -> (6, C)
            _pieces(grads, *shape, _tables(numbers, 1), TOTAL, grain, flat, sums)
    return dx, vectors[0], vectors[1], sums.sum(axis=(0, 1)).astype(x.dtype)
