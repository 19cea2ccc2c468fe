"""Special functions that NumPy lacks: the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["erf"]

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
