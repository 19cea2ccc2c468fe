"""Launches the kernels of ``activation.cu``; formulas and shapes in ``plain/activation.py``."""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.layout import contiguous, dense, in_order_of
from minidl.kernels.cuda.shared import THREADS, WARP, blocks, empty, empty_like, program

__all__ = [
    "leaky_relu_backward",
    "leaky_relu_forward",
    "log_softmax_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]

CUDA = program("activation")
PER_BLOCK = 4 * THREADS  # elements, as in the source


def _forward(kernel: str, x: Any, *numbers: float) -> Any:
    x = dense(x)
    y = empty_like(x)
    CUDA.launch(kernel, blocks(x.size, PER_BLOCK), THREADS, x, y, *numbers, x.size)
    return y


def _backward(kernel: str, grad: Any, saved: Any, *numbers: float) -> Any:
    saved = dense(saved)  # its order, not the gradient's: what comes next in the graph has it too
    grad = in_order_of(saved, grad)
    dx = empty_like(saved)
    CUDA.launch(kernel, blocks(dx.size, PER_BLOCK), THREADS, grad, saved, dx, *numbers, dx.size)
    return dx


def relu_forward(x: Any) -> Any:
    return _forward("relu_forward", x)


def relu_backward(grad: Any, y: Any) -> Any:
    return _backward("relu_backward", grad, y)


def leaky_relu_forward(x: Any, negative_slope: float) -> Any:
    return _forward("leaky_relu_forward", x, negative_slope)


def leaky_relu_backward(grad: Any, x: Any, negative_slope: float) -> Any:
    return _backward("leaky_relu_backward", grad, x, negative_slope)


def tanh_forward(x: Any) -> Any:
    return _forward("tanh_forward", x)


def tanh_backward(grad: Any, y: Any) -> Any:
    return _backward("tanh_backward", grad, y)


def sigmoid_forward(x: Any) -> Any:
    return _forward("sigmoid_forward", x)


def sigmoid_backward(grad: Any, y: Any) -> Any:
    return _backward("sigmoid_backward", grad, y)


def _softmax(x: Any, dim: int, logarithm: bool) -> Any:
    x = contiguous(x)
    y = empty(x, x.shape)
    dim %= max(x.ndim, 1)
    length = x.shape[dim] if x.ndim else 1
    inner = math.prod(x.shape[dim + 1 :])
    lines = x.size // max(length, 1)
    if inner == 1:
        CUDA.launch("softmax_rows", blocks(lines * WARP), THREADS, x, y, lines, length, logarithm)
    else:
        CUDA.launch("softmax_columns", blocks(lines), THREADS, x, y, lines, length, inner, logarithm)
    return y


def softmax_forward(x: Any, dim: int) -> Any:
    return _softmax(x, dim, False)


def log_softmax_forward(x: Any, dim: int) -> Any:
    return _softmax(x, dim, True)
