"""Launches the kernels of ``normalization.cu``; formulas and shapes in ``plain/normalization.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.layout import contiguous, to_channels_outermost
from minidl.kernels.cuda.shared import THREADS, blocks, empty, empty_like, program

__all__ = ["batch_norm_backward", "batch_norm_forward", "channel_affine"]

CUDA = program("normalization")
PIECE = 4096  # as in the source


def _optional(vector: Any | None) -> Any | None:
    return None if vector is None else contiguous(vector)


def batch_norm_forward(x: Any, weight: Any | None, bias: Any | None, epsilon: float) -> tuple[Any, Any, Any, Any]:
    x = to_channels_outermost(x)
    channels = x.shape[1]
    y = empty_like(x)
    mean, variance, inverse_std = (empty(x, (channels,)) for _ in range(3))
    pixels = x.size // max(channels, 1)
    if not pixels:  # an empty batch has mean and variance 0
        mean[...] = variance[...] = 0
        inverse_std[...] = epsilon**-0.5
        return y, mean, variance, inverse_std
    pieces = blocks(pixels, PIECE)
    means, squares = (empty(x, (channels, pieces), np.float64) for _ in range(2))
    sizes = pixels, pieces
    CUDA.launch("piece_statistics", channels * pieces, THREADS, x, means, squares, *sizes)
    vectors = _optional(weight), _optional(bias), means, squares
    CUDA.launch("normalize", channels * pieces, THREADS, x, *vectors, y, mean, variance, inverse_std, epsilon, *sizes)
    return y, mean, variance, inverse_std


def batch_norm_backward(grad: Any, x: Any, weight: Any | None, mean: Any, inverse_std: Any) -> tuple[Any, Any, Any]:
    grad, x = to_channels_outermost(grad), to_channels_outermost(x)
    channels = x.shape[1]
    dx = empty_like(x)
    dweight, dbias = empty(x, (channels,)), empty(x, (channels,))
    pixels = x.size // max(channels, 1)
    if not pixels:
        dweight[...] = dbias[...] = 0
        return dx, dweight, dbias
    mean, inverse_std = contiguous(mean), contiguous(inverse_std)
    pieces = blocks(pixels, PIECE)
    totals, products = (empty(x, (channels, pieces), np.float64) for _ in range(2))
    sizes = pixels, pieces
    CUDA.launch("piece_sums", channels * pieces, THREADS, grad, x, mean, totals, products, *sizes)
    vectors = _optional(weight), mean, inverse_std, totals, products
    CUDA.launch("input_gradient", channels * pieces, THREADS, grad, x, *vectors, dx, dweight, dbias, *sizes)
    return dx, dweight, dbias


def channel_affine(x: Any, scale: Any, shift: Any) -> Any:
    x = to_channels_outermost(x)
    y = empty_like(x)
    pixels = x.size // max(x.shape[1], 1)
    each = blocks(pixels)
    grid = x.shape[1] * each
    CUDA.launch("affine", grid, THREADS, x, contiguous(scale), contiguous(shift), y, pixels, each)
    return y
