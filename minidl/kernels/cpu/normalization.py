"""Batch normalisation on the CPU; formulas and shapes in ``plain/normalization.py``.

x is seen as rows (P, C), one for every image and pixel, channels side by side. Rows are cut into pieces of a fixed size
that fit in the second-level cache, so that a piece's mean and its squared deviations from that mean cost one trip to
memory; Chan's formula then joins the pieces in float64: as accurate as two passes over the whole, whatever the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["batch_norm_backward", "batch_norm_forward", "channel_affine"]

BLOCK = 32  # rows summed in the array's own type before they go to a float64 total: fast, and no digits are lost


@njit(**OPTIONS)
def _statistics(x: Any, total: Any, squares: Any) -> None:
    """For a piece x (rows, K): the sums (K,), and the sums of squared deviations from the piece's own means (K,)."""
    rows, width = x.shape
    part = np.empty(width, x.dtype)
    center = np.empty(width, x.dtype)
    total[:] = 0
    squares[:] = 0
    for begin in range(0, rows, BLOCK):
        part[:] = 0
        for r in range(begin, min(begin + BLOCK, rows)):
            row = x[r]
            for k in range(width):
                part[k] += row[k]
        for k in range(width):
            total[k] += part[k]
    for k in range(width):
        center[k] = total[k] / rows
    for begin in range(0, rows, BLOCK):
        part[:] = 0
        for r in range(begin, min(begin + BLOCK, rows)):
            row = x[r]
            for k in range(width):
                part[k] += (row[k] - center[k]) * (row[k] - center[k])
        for k in range(width):
            squares[k] += part[k]
    for k in range(width):  # the mean was rounded to the array's type
        squares[k] -= rows * (total[k] / rows - center[k]) ** 2


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


@njit(parallel=True, **OPTIONS)
def _forward(
    x: Any, weight: Any, bias: Any, epsilon: float, grain: int, y: Any, mean: Any, variance: Any, inverse_std: Any
) -> None:
    """x and y (P / f, f * C): f rows side by side, so that few channels fill the vector lanes; the rest (C,)."""
    rows, width = x.shape
    channels = mean.size
    pieces = (rows + grain - 1) // grain
    count = max(rows * width // max(channels, 1), 1)
    totals, squares = np.empty((pieces, width)), np.empty((pieces, width))
    if pieces == 1:
        _statistics(x, totals[0], squares[0])
    else:
        for i in prange(pieces):
            part = slice(i * grain, (i + 1) * grain)
            _statistics(x[part], totals[i], squares[i])

    center, scale, shift = np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    for c in range(channels):
        total = 0.0
        for i in range(pieces):
            for k in range(c, width, channels):
                total += totals[i, k]
        exact = total / count
        deviation = 0.0
        for i in range(pieces):
            length = min(rows - i * grain, grain)
            for k in range(c, width, channels):
                deviation += squares[i, k] + length * (totals[i, k] / length - exact) ** 2
        mean[c] = exact
        variance[c] = deviation / count
        inverse = 1 / np.sqrt(deviation / count + epsilon)
        inverse_std[c] = inverse
        for k in range(c, width, channels):
            center[k], scale[k], shift[k] = exact, inverse * weight[c], bias[c]

    if pieces == 1:
        _affine(x, center, scale, shift, y)
    else:
        for i in prange(pieces):
            part = slice(i * grain, (i + 1) * grain)
            _affine(x[part], center, scale, shift, y[part])


@njit(parallel=True, **OPTIONS)
def _backward(
    grad: Any, x: Any, weight: Any, mean: Any, inverse_std: Any, grain: int, dx: Any, dweight: Any, dbias: Any
) -> None:
    """Arrays as in ``_forward``."""
    rows, width = x.shape
    channels = mean.size
    pieces = (rows + grain - 1) // grain
    count = max(rows * width // max(channels, 1), 1)
    totals, products = np.empty((pieces, width)), np.empty((pieces, width))
    center, slope = np.empty(width, x.dtype), np.empty(width, x.dtype)
    offset, scale = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for k in range(width):
        center[k] = mean[k % channels]
    if pieces == 1:
        _sums(grad, x, center, totals[0], products[0])
    else:
        for i in prange(pieces):
            part = slice(i * grain, (i + 1) * grain)
            _sums(grad[part], x[part], center, totals[i], products[i])

    for c in range(channels):
        total = 0.0
        product = 0.0
        for i in range(pieces):
            for k in range(c, width, channels):
                total += totals[i, k]
                product += products[i, k]
        inverse = np.float64(inverse_std[c])
        dbias[c] = total
        dweight[c] = product * inverse
        for k in range(c, width, channels):
            slope[k] = product * inverse * inverse / count
            offset[k] = total / count
            scale[k] = inverse * weight[c]

    if pieces == 1:
        _input_gradient(grad, x, center, slope, offset, scale, dx)
    else:
        for i in prange(pieces):
            part = slice(i * grain, (i + 1) * grain)
            _input_gradient(grad[part], x[part], center, slope, offset, scale, dx[part])


@njit(parallel=True, **OPTIONS)
def _affine_rows(x: Any, scale: Any, shift: Any, grain: int, y: Any) -> None:
    rows, width = x.shape
    center = np.zeros(width, x.dtype)
    if rows <= grain:
        _affine(x, center, scale, shift, y)
    else:
        for i in prange((rows + grain - 1) // grain):
            part = slice(i * grain, (i + 1) * grain)
            _affine(x[part], center, scale, shift, y[part])


def _rows(x: Any) -> Any:
    """x (N, C), (N, C, L) or (N, C, H, W) as C-contiguous rows (P / f, f * C), f as in ``_forward``."""
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


def _like(x: Any) -> tuple[Any, Any]:
    """A fresh result of the shape of x, and its rows as ``_rows`` would give them."""
    if x.ndim == 4:
        batch, channels, height, width = x.shape
        y = from_channels_last(np.empty((batch, height, width, channels), dtype=x.dtype))
    elif x.ndim == 3:
        y = np.empty((x.shape[0], x.shape[2], x.shape[1]), dtype=x.dtype).transpose(0, 2, 1)  # (N, L, C) -> (N, C, L)
    else:
        y = np.empty(x.shape, dtype=x.dtype)
    return y, _rows(y)


def _vector(values: Any | None, default: float, x: Any) -> Any:
    """A vector (C,) in the type of x, filled with ``default`` for None."""
    if values is None:
        return np.full(x.shape[1], default, dtype=x.dtype)
    return np.ascontiguousarray(values, dtype=x.dtype)


def _grain(rows: Any) -> int:
    """How many rows make a piece."""
    return max(1, GRAIN // max(rows.shape[1], 1))


def batch_norm_forward(x: Any, weight: Any | None, bias: Any | None, epsilon: float) -> tuple[Any, Any, Any, Any]:
    y, out = _like(x)
    mean, variance, inverse_std = np.empty((3, x.shape[1]), dtype=x.dtype)
    rows = _rows(x)
    weight, bias = _vector(weight, 1, x), _vector(bias, 0, x)
    with parallel_region():
        _forward(rows, weight, bias, float(epsilon), _grain(rows), out, mean, variance, inverse_std)
    return y, mean, variance, inverse_std


def batch_norm_backward(grad: Any, x: Any, weight: Any | None, mean: Any, inverse_std: Any) -> tuple[Any, Any, Any]:
    dx, out = _like(x)
    dweight, dbias = np.empty((2, x.shape[1]), dtype=x.dtype)
    rows = _rows(x)
    weight, mean, inverse_std = _vector(weight, 1, x), _vector(mean, 0, x), _vector(inverse_std, 1, x)
    with parallel_region():
        _backward(_rows(grad), rows, weight, mean, inverse_std, _grain(rows), out, dweight, dbias)
    return dx, dweight, dbias


def channel_affine(x: Any, scale: Any, shift: Any) -> Any:
    y, out = _like(x)
    rows = _rows(x)
    fold = rows.shape[1] // max(x.shape[1], 1)
    scale, shift = np.tile(_vector(scale, 1, x), fold), np.tile(_vector(shift, 0, x), fold)
    with parallel_region():
        _affine_rows(rows, scale, shift, _grain(rows), out)
    return y
