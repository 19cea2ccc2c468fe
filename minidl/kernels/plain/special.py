"""Special functions that NumPy lacks: the error function, and GELU, which is made of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["erf", "gelu_backward", "gelu_forward"]

_SPLIT = 2.0  # below it the series is short, above it the continued fraction is
_TERMS = 45  # of each: enough for float64 at the split


def erf(x: Any) -> Any:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element, of any shape; NaN stays NaN.

    For |x| < 2 the series 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (1*3*...*(2n+1)), whose terms are all of one sign;
    beyond, 1 - erfc(x) with the continued fraction of erfc. Source: Abramowitz and Stegun 7.1.6 and 7.1.14.
    """
    z = np.multiply(x, 1.0, dtype=np.float64)  # in float64, whatever library x is of
    small = np.clip(z, -_SPLIT, _SPLIT)
    term = small
    total = small
    for n in range(1, _TERMS):
        term = term * (2 * small * small) / (2 * n + 1)
        total = total + term
    series = (2 / math.sqrt(math.pi)) * np.exp(-small * small) * total
    large = np.clip(np.abs(z), _SPLIT, 10.0)  # erf(6) is 1 in float64
    tail = large
    for n in range(_TERMS, 0, -1):
        tail = large + (n / 2) / tail
    outside = np.sign(z) * (1 - np.exp(-large * large) / (math.sqrt(math.pi) * tail))
    return np.where(np.abs(z) < _SPLIT, series, outside).astype(x.dtype)


def _normal(x: Any) -> Any:
    """The normal distribution function, Phi(x), in float64."""
    return (erf(np.multiply(x, math.sqrt(0.5), dtype=np.float64)) + 1) * 0.5


def gelu_forward(x: Any) -> Any:
    """x Phi(x), Phi the normal distribution function, element by element, of any shape. Source: Hendrycks & Gimpel."""
    return np.multiply(x, _normal(x), out=np.empty_like(x))  # `out=`: without it NumPy makes a scalar of a 0-d array


def gelu_backward(grad: Any, x: Any) -> Any:
    """dL/dx = dL/dy * (Phi(x) + x phi(x)), phi the normal density; ``grad`` and ``x`` have one shape."""
    density = np.exp(np.multiply(x, x, dtype=np.float64) * -0.5) * (1 / math.sqrt(2 * math.pi))
    return np.multiply(grad, _normal(x) + x * density, out=np.empty_like(grad))
