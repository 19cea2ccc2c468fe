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
from minidl.kernels.cpu.fused_normalization import batch_norm_relu_backward, batch_norm_relu_forward
from minidl.kernels.cpu.gemm import gemm_fused
from minidl.kernels.cpu.normalization import grain_of, rows_of
from minidl.kernels.cpu.pooling import max_pool2d_backward, max_pool2d_relu_forward
from minidl.kernels.cpu.shared import OPTIONS
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
