"""Batch normalisation on the CPU; formulas and shapes in ``plain/normalization.py``.

x is seen as rows (P, C), one for every image and pixel, channels side by side. Rows are cut into pieces of fixed size,
each with its own mean and squared deviations, in one trip to memory; Chan's formula then joins the pieces in float64:
as accurate as two passes over the whole, whatever the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = [
    "BLOCK",
    "batch_norm_backward",
    "batch_norm_forward",
    "channel_affine",
    "grain_of",
    "join_statistics",
    "join_sums",
    "rows_of",
    "statistics",
    "statistics_pieces",
    "vector",
]

BLOCK = 32  # rows summed in the array's own type before they go to a float64 total: fast, and no digits are lost


@njit(**OPTIONS)
def statistics(x: Any, total: Any, squares: Any) -> None:
    """For a piece x (rows, K): the sums (K,), and the sums of squared deviations from the piece's own means (K,).

    One pass over x - center, where center, the mean of the first rows, is near enough that nothing cancels: with
    d = x - center, the sum is rows * center + sum(d), and the squared deviations are sum(d**2) - sum(d)**2 / rows.
    """
    rows, width = x.shape
    part, part_squares, center = np.zeros(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    first = min(BLOCK, rows)
    for r in range(first):
        for k in range(width):
            part[k] += x[r, k]
    for k in range(width):
        center[k] = part[k] / first
    total[:] = 0
    squares[:] = 0
    for begin in range(0, rows, BLOCK):
        part[:] = 0
        part_squares[:] = 0
        for r in range(begin, min(begin + BLOCK, rows)):
            row = x[r]
            for k in range(width):
                d = row[k] - center[k]
                part[k] += d
                part_squares[k] += d * d
        for k in range(width):
            total[k] += part[k]
            squares[k] += part_squares[k]
    for k in range(width):
        squares[k] -= total[k] * total[k] / rows
        total[k] += rows * np.float64(center[k])


@njit(**OPTIONS)
def _sums(grad: Any, x: Any, center: Any, total: Any, product: Any) -> None:
    """For a piece: the sums of grad (K,) and of grad * (x - center) (K,)."""
    rows, width = x.shape
    part = np.empty(width, x.dtype)
    other = np.empty(width, x.dtype)
    total[:] = 0
    product[:] = 0
    for begin in range(0, rows, BLOCK):
        part[:] = 0
        other[:] = 0
        for r in range(begin, min(begin + BLOCK, rows)):
            row, g = x[r], grad[r]
            for k in range(width):
                part[k] += g[k]
                other[k] += g[k] * (row[k] - center[k])
        for k in range(width):
            total[k] += part[k]
            product[k] += other[k]


@njit(**OPTIONS)
def _affine(x: Any, center: Any, scale: Any, shift: Any, y: Any) -> None:
    """y = (x - center) * scale + shift for a piece (rows, K)."""
    for r in range(x.shape[0]):
        row, out = x[r], y[r]
        for k in range(row.size):
            out[k] = (row[k] - center[k]) * scale[k] + shift[k]


@njit(**OPTIONS)
def _input_gradient(grad: Any, x: Any, center: Any, slope: Any, offset: Any, scale: Any, dx: Any) -> None:
    """dx = (grad - offset - (x - center) * slope) * scale for a piece (rows, K)."""
    for r in range(x.shape[0]):
        row, g, out = x[r], grad[r], dx[r]
        for k in range(row.size):
            out[k] = (g[k] - offset[k] - (row[k] - center[k]) * slope[k]) * scale[k]


@njit(**OPTIONS)
def join_statistics(
    totals: Any,
    squares: Any,
    rows: int,
    grain: int,
    weight: Any,
    bias: Any,
    epsilon: float,
    vectors: Any,
    lanes: Any,
) -> None:
    """From the pieces' statistics (pieces, K) to the whole's, in float64, always in the same order.

    ``rows`` in all, ``grain`` of them in every piece but the last. Writes ``vectors`` (3, C): mean, variance, inverse
    standard deviation, and ``lanes`` (3, K): what ``_affine`` wants.
    """
    pieces, width = totals.shape
    channels = weight.size
    count = max(rows * width // max(channels, 1), 1)
    for c in range(channels):
        total = 0.0
        for i in range(pieces):
            for k in range(c, width, channels):
                total += totals[i, k]
        mean = total / count
        deviation = 0.0
        for i in range(pieces):
            length = max(min(rows - i * grain, grain), 1)
            for k in range(c, width, channels):
                deviation += squares[i, k] + length * (totals[i, k] / length - mean) ** 2
        variance = deviation / count
        inverse_std = 1 / np.sqrt(variance + epsilon)
        vectors[0, c], vectors[1, c], vectors[2, c] = mean, variance, inverse_std
        for k in range(c, width, channels):
            lanes[0, k], lanes[1, k], lanes[2, k] = mean, inverse_std * weight[c], bias[c]


@njit(**OPTIONS)
def join_sums(
    totals: Any, products: Any, count: int, weight: Any, mean: Any, inverse_std: Any, vectors: Any, lanes: Any
) -> None:
    """From the pieces' sums (pieces, K) to ``vectors`` (2, C): dweight, dbias, and to the ``lanes`` (4, K) of dx."""
    pieces, width = totals.shape
    channels = weight.size
    for c in range(channels):
        total = 0.0
        product = 0.0
        for i in range(pieces):
            for k in range(c, width, channels):
                total += totals[i, k]
                product += products[i, k]
        inverse = np.float64(inverse_std[c])
        vectors[0, c], vectors[1, c] = product * inverse, total
        for k in range(c, width, channels):
            lanes[0, k] = mean[c]
            lanes[1, k] = product * inverse * inverse / count
            lanes[2, k] = total / count
            lanes[3, k] = inverse * weight[c]


@njit(parallel=True, **OPTIONS)
def statistics_pieces(x: Any, grain: int, totals: Any, squares: Any) -> None:
    for i in prange(len(totals)):
        part = slice(i * grain, (i + 1) * grain)
        statistics(x[part], totals[i], squares[i])


@njit(parallel=True, **OPTIONS)
def _sums_pieces(grad: Any, x: Any, center: Any, grain: int, totals: Any, products: Any) -> None:
    for i in prange(len(totals)):
        part = slice(i * grain, (i + 1) * grain)
        _sums(grad[part], x[part], center, totals[i], products[i])


@njit(parallel=True, **OPTIONS)
def _affine_pieces(x: Any, center: Any, scale: Any, shift: Any, grain: int, y: Any) -> None:
    for i in prange((len(x) + grain - 1) // grain):
        part = slice(i * grain, (i + 1) * grain)
        _affine(x[part], center, scale, shift, y[part])


@njit(parallel=True, **OPTIONS)
def _input_gradient_pieces(
    grad: Any, x: Any, center: Any, slope: Any, offset: Any, scale: Any, grain: int, dx: Any
) -> None:
    for i in prange((len(x) + grain - 1) // grain):
        part = slice(i * grain, (i + 1) * grain)
        _input_gradient(grad[part], x[part], center, slope, offset, scale, dx[part])


def rows_of(x: Any) -> Any:
    """x (N, C), (N, C, L) or (N, C, H, W) as C-contiguous rows (P / f, f * C).

    f rows are put side by side where the channels alone would not fill the vector lanes; K = f * C in this file.
    """
    channels = x.shape[1]
    if x.ndim == 4:
        x = channels_last(x)
    elif x.ndim == 3:
        x = x.transpose(0, 2, 1)  # (N, C, L) -> (N, L, C)
    rows = np.ascontiguousarray(x).reshape(x.size // max(channels, 1), channels)
    fold = 1
    while fold * channels < 64 and rows.shape[0] % (2 * fold) == 0 and rows.size:
        fold *= 2
    return rows.reshape(rows.shape[0] // fold, fold * channels)


def like(x: Any) -> tuple[Any, Any]:
    """A fresh result of the shape of x, and its rows as ``rows_of`` would give them."""
    if x.ndim == 4:
        batch, channels, height, width = x.shape
        y = from_channels_last(np.empty((batch, height, width, channels), dtype=x.dtype))
    elif x.ndim == 3:
        y = np.empty((x.shape[0], x.shape[2], x.shape[1]), dtype=x.dtype).transpose(0, 2, 1)  # (N, L, C) -> (N, C, L)
    else:
        y = np.empty(x.shape, dtype=x.dtype)
    return y, rows_of(y)


def vector(values: Any | None, default: float, x: Any) -> Any:
    """A vector (C,) in the type of x, filled with ``default`` for None."""
    if values is None:
        return np.full(x.shape[1], default, dtype=x.dtype)
    return np.ascontiguousarray(values, dtype=x.dtype)


def grain_of(rows: Any) -> int:
    """How many rows make a piece."""
    return max(1, GRAIN // max(rows.shape[1], 1))


def batch_norm_forward(x: Any, weight: Any | None, bias: Any | None, epsilon: float) -> tuple[Any, Any, Any, Any]:
    y, out = like(x)
    rows = rows_of(x)
    weight, bias = vector(weight, 1, x), vector(bias, 0, x)
    grain = grain_of(rows)
    totals, squares = np.zeros((2, max(-(-len(rows) // grain), 1), rows.shape[1]))
    vectors, lanes = np.empty((3, x.shape[1]), dtype=x.dtype), np.empty((3, rows.shape[1]), dtype=x.dtype)
    if len(totals) == 1:
        if len(rows):  # an empty batch has sums of zero
            statistics(rows, totals[0], squares[0])
        join_statistics(totals, squares, len(rows), grain, weight, bias, float(epsilon), vectors, lanes)
        _affine(rows, lanes[0], lanes[1], lanes[2], out)
    else:
        with parallel_region():
            statistics_pieces(rows, grain, totals, squares)
            join_statistics(totals, squares, len(rows), grain, weight, bias, float(epsilon), vectors, lanes)
            _affine_pieces(rows, lanes[0], lanes[1], lanes[2], grain, out)
    return y, vectors[0], vectors[1], vectors[2]


def batch_norm_backward(grad: Any, x: Any, weight: Any | None, mean: Any, inverse_std: Any) -> tuple[Any, Any, Any]:
    dx, out = like(x)
    rows, grad_rows = rows_of(x), rows_of(grad)
    weight, mean, inverse_std = vector(weight, 1, x), vector(mean, 0, x), vector(inverse_std, 1, x)
    grain = grain_of(rows)
    count = max(x.size // max(x.shape[1], 1), 1)
    totals, products = np.empty((2, max(-(-len(rows) // grain), 1), rows.shape[1]))
    vectors, lanes = np.empty((2, x.shape[1]), dtype=x.dtype), np.empty((4, rows.shape[1]), dtype=x.dtype)
    center = np.tile(mean, rows.shape[1] // max(x.shape[1], 1))
    if len(totals) == 1:
        _sums(grad_rows, rows, center, totals[0], products[0])
        join_sums(totals, products, count, weight, mean, inverse_std, vectors, lanes)
        _input_gradient(grad_rows, rows, lanes[0], lanes[1], lanes[2], lanes[3], out)
    else:
        with parallel_region():
            _sums_pieces(grad_rows, rows, center, grain, totals, products)
            join_sums(totals, products, count, weight, mean, inverse_std, vectors, lanes)
            _input_gradient_pieces(grad_rows, rows, lanes[0], lanes[1], lanes[2], lanes[3], grain, out)
    return dx, vectors[0], vectors[1]


def channel_affine(x: Any, scale: Any, shift: Any) -> Any:
    y, out = like(x)
    rows = rows_of(x)
    fold = rows.shape[1] // max(x.shape[1], 1)
    scale, shift = np.tile(vector(scale, 1, x), fold), np.tile(vector(shift, 0, x), fold)
    center = np.zeros_like(scale)
    grain = grain_of(rows)
    if len(rows) <= grain:
        _affine(rows, center, scale, shift, out)
    else:
        with parallel_region():
            _affine_pieces(rows, center, scale, shift, grain, out)
    return y
