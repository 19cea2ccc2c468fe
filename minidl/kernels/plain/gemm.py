"""Matrix product with a bias, and the sum over everything but the channels that is the bias's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend.arrays import namespace

__all__ = ["channel_sum", "gemm", "linear_backward", "matmul"]

Array = Any


def gemm(a: Array, b: Array, bias: Array | None = None) -> Array:
    """Matrix product: a (M, K), b (K, N), bias (N,) or None -> a @ b + bias (M, N), C-contiguous; any strides."""
    y = a @ b
    y = y if y.flags.c_contiguous else y.copy(order="C")
    if bias is not None:
        y += bias
    return y


def matmul(a: Array, b: Array) -> Array:
    """Matrix products: a (..., M, K), b (..., K, N) -> (..., M, N); leading axes broadcast, else ValueError."""
    return namespace(a).matmul(a, b)


def channel_sum(x: Array) -> Array:
    """Sum over all axes but the second: x (N, C, ...) -> (C,).

    Added up in float64 where x is narrower: a bias gradient is a sum of very many terms of either sign.
    """
    axes = (0, *range(2, x.ndim))
    return x.sum(axis=axes, dtype=np.promote_types(x.dtype, np.float64)).astype(x.dtype)


def linear_backward(grad: Array, x: Array, weight: Array | None) -> tuple[Array | None, Array, Array]:
    """The three gradients of y = x W^T + b at once: grad (N, O), x (N, K), weight (O, K) -> (N, K), (O, K), (O,).

    grad W, grad^T x, and the sum of grad over N; the first is None where weight is.
    """
    dx = None if weight is None else gemm(grad, weight)  # (N, O) @ (O, K) -> (N, K)
    return dx, gemm(grad.T, x), channel_sum(grad)  # (O, N) @ (N, K) -> (O, K)
