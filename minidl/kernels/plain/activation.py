"""Activations: the rectifier and its leaky form, tanh, the logistic sigmoid, softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

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

# `out=` everywhere: without it NumPy answers a 0-d array with a scalar, which is no array.


def relu_forward(x: Any) -> Any:
    """max(x, 0), element by element, for any shape; NaN stays NaN."""
    return np.maximum(x, 0, out=np.empty_like(x))


def relu_backward(grad: Any, y: Any) -> Any:
    """dL/dx = dL/dy where the output y > 0, else 0; ``grad`` and ``y`` have the shape of x."""
    return np.where(y > 0, grad, np.zeros_like(grad))


def leaky_relu_forward(x: Any, negative_slope: float) -> Any:
    """x where x > 0, else ``negative_slope`` * x; any shape."""
    return np.where(x > 0, x, x * negative_slope)


def leaky_relu_backward(grad: Any, x: Any, negative_slope: float) -> Any:
    """dL/dx = dL/dy where the input x > 0, else ``negative_slope`` * dL/dy."""
    return np.where(x > 0, grad, grad * negative_slope)


def tanh_forward(x: Any) -> Any:
    """tanh(x), any shape."""
    return np.tanh(x, out=np.empty_like(x))


def tanh_backward(grad: Any, y: Any) -> Any:
    """dL/dx = dL/dy * (1 - y**2) with the output y = tanh(x)."""
    return np.multiply(grad, 1 - y * y, out=np.empty_like(grad))


def sigmoid_forward(x: Any) -> Any:
    """1 / (1 + exp(-x)), any shape, written with exp(-|x|) so that nothing overflows."""
    small = np.exp(-abs(x))
    return np.divide(np.where(x >= 0, np.ones_like(small), small), 1 + small, out=np.empty_like(x))


def sigmoid_backward(grad: Any, y: Any) -> Any:
    """dL/dx = dL/dy * y * (1 - y) with the output y = sigmoid(x)."""
    return np.multiply(grad, y * (1 - y), out=np.empty_like(grad))


def softmax_forward(x: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along axis ``dim``, shifted by the maximum so that nothing overflows; any shape."""
    if x.size == 0:
        return np.empty_like(x)
    exponential = np.exp(x - x.max(axis=dim, keepdims=True))
    return np.divide(exponential, exponential.sum(axis=dim, keepdims=True), out=np.empty_like(x))


def log_softmax_forward(x: Any, dim: int) -> Any:
    """x - log(sum(exp(x))) along axis ``dim``, shifted by the maximum so that nothing overflows; any shape."""
    if x.size == 0:
        return np.empty_like(x)
    shifted = x - x.max(axis=dim, keepdims=True)
    return np.subtract(shifted, np.log(np.exp(shifted).sum(axis=dim, keepdims=True)), out=np.empty_like(x))
