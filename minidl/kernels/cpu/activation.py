"""Activations on the CPU; formulas and shapes in ``plain/activation.py``. NumPy's own tanh is the fastest: plain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import GRAIN, OPTIONS, exponential, flat
from minidl.kernels.cpu.threads import parallel_region

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
]

# One kernel with a switch outside its loops: a parallel kernel for each function would compile six times as long.
RELU, RELU_BACKWARD, LEAKY, LEAKY_BACKWARD, TANH_BACKWARD, SIGMOID, SIGMOID_BACKWARD = range(7)


@njit(**OPTIONS)
def _piece(function: int, a: Any, b: Any, y: Any, slope: Any) -> None:
    """y = function(a), or function(a = gradient, b = saved array): whole flat arrays, which LLVM vectorises."""
    zero = y.dtype.type(0)
    one = y.dtype.type(1)
    if function == RELU:
        for i in range(y.size):
            y[i] = zero if a[i] < zero else a[i]  # asked this way round, NaN stays NaN
    elif function == RELU_BACKWARD:
        for i in range(y.size):
            y[i] = a[i] if b[i] > zero else zero
    elif function == LEAKY:
        for i in range(y.size):
            y[i] = a[i] if a[i] > zero else a[i] * slope
    elif function == LEAKY_BACKWARD:
        for i in range(y.size):
            y[i] = a[i] if b[i] > zero else a[i] * slope
    elif function == TANH_BACKWARD:
        for i in range(y.size):
            y[i] = a[i] * (one - b[i] * b[i])
    elif function == SIGMOID:
        for i in range(y.size):
            small = exponential(-abs(a[i]))
            y[i] = (one if a[i] >= zero else small) / (one + small)
    elif function == SIGMOID_BACKWARD:
        for i in range(y.size):
            y[i] = a[i] * (b[i] * (one - b[i]))


@njit(parallel=True, **OPTIONS)
def _pieces(function: int, a: Any, b: Any, y: Any, slope: Any) -> None:
    for i in prange((y.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _piece(function, a[part], b[part], y[part], slope)


def _run(function: int, a: Any, b: Any, y: Any, slope: float) -> None:
    """y = function(a, b) on flat arrays of any length."""
    if y.size <= GRAIN:
        _piece(function, a, b, y, y.dtype.type(slope))
    else:
        with parallel_region():
            _pieces(function, a, b, y, y.dtype.type(slope))


def _one(function: int, x: Any, slope: float = 0.0) -> Any:
    """function(x) in the layout of x."""
    a, y, out = flat(x)
    _run(function, a, a, out, slope)
    return y


def _two(function: int, grad: Any, saved: Any, slope: float = 0.0) -> Any:
    """function(grad, saved) in the layout of grad."""
    a, b, y, out = flat(grad, saved)
    _run(function, a, b, out, slope)
    return y


def relu_forward(x: Any) -> Any:
    return _one(RELU, x)


def relu_backward(grad: Any, y: Any) -> Any:
    return _two(RELU_BACKWARD, grad, y)


def leaky_relu_forward(x: Any, negative_slope: float) -> Any:
    return _one(LEAKY, x, negative_slope)


def leaky_relu_backward(grad: Any, x: Any, negative_slope: float) -> Any:
    return _two(LEAKY_BACKWARD, grad, x, negative_slope)


def tanh_backward(grad: Any, y: Any) -> Any:
    return _two(TANH_BACKWARD, grad, y)


def sigmoid_forward(x: Any) -> Any:
    return _one(SIGMOID, x)


def sigmoid_backward(grad: Any, y: Any) -> Any:
    return _two(SIGMOID_BACKWARD, grad, y)


@njit(**OPTIONS)
def _maximum(x: Any) -> Any:
    """The largest of a vector; four at a time, so that a comparison does not wait for the one before."""
    a = b = c = d = x[0]
    for i in range(0, x.size - 3, 4):
        a = x[i] if x[i] > a else a
        b = x[i + 1] if x[i + 1] > b else b
        c = x[i + 2] if x[i + 2] > c else c
        d = x[i + 3] if x[i + 3] > d else d
    for i in range(x.size - x.size % 4, x.size):
        a = x[i] if x[i] > a else a
    return max(max(a, b), max(c, d))


# `reassoc` lets the compiler sum in vector lanes. The order then depends on the instruction set, never on threads.
@njit(**{**OPTIONS, "fastmath": {"contract", "reassoc"}})
def _total(x: Any) -> float:
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i])
    return total


@njit(**OPTIONS)
def exponential_row(x: Any, e: Any) -> tuple[Any, float]:
    """e = exp(x - largest x) for one row (K,); returns the largest x and the sum of e."""
    largest = _maximum(x)
    for k in range(x.size):
        e[k] = exponential(x[k] - largest)
    return largest, _total(e)


@njit(**OPTIONS)
def _softmax_rows(x: Any, y: Any, logarithm: bool) -> None:
    """Softmax, or its logarithm, of every row of x (R, K)."""
    rows, length = x.shape
    for r in range(rows):
        row, out = x[r], y[r]
        largest, total = exponential_row(row, out)
        factor = y.dtype.type(1.0 / total)
        log_total = y.dtype.type(math.log(total))
        if logarithm:
            for k in range(length):
                out[k] = row[k] - largest - log_total
        else:
            for k in range(length):
                out[k] *= factor


@njit(parallel=True, **OPTIONS)
def _softmax_pieces(x: Any, y: Any, logarithm: bool) -> None:
    rows, length = x.shape
    grain = max(1, GRAIN // length)
    for i in prange((rows + grain - 1) // grain):
        part = slice(i * grain, (i + 1) * grain)
        _softmax_rows(x[part], y[part], logarithm)


def _softmax(x: Any, dim: int, logarithm: bool) -> Any:
    """Along any axis: brought to the end (channels-last memory has axis 1 there already), and back."""
    if x.size == 0 or x.ndim == 0:
        return np.zeros_like(x) if logarithm else np.ones_like(x)
    last = np.ascontiguousarray(np.moveaxis(x, dim, -1))
    y = np.empty_like(last)
    rows, out = last.reshape(-1, last.shape[-1]), y.reshape(-1, last.shape[-1])
    if x.size <= GRAIN:
        _softmax_rows(rows, out, logarithm)
    else:
        with parallel_region():
            _softmax_pieces(rows, out, logarithm)
    return np.moveaxis(y, -1, dim)


def softmax_forward(x: Any, dim: int) -> Any:
    return _softmax(x, dim, False)


def log_softmax_forward(x: Any, dim: int) -> Any:
    return _softmax(x, dim, True)
