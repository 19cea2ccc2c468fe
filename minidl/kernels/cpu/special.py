"""Special functions on the CPU; formulas and shapes in ``plain/special.py``."""

from __future__ import annotations

import math
from typing import Any

from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import GRAIN, OPTIONS, flat
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["erf"]


@njit(**OPTIONS)
def _piece(x: Any, y: Any) -> None:
    for i in range(y.size):
        y[i] = math.erf(x[i])


@njit(parallel=True, **OPTIONS)
def _pieces(x: Any, y: Any) -> None:
    for i in prange((y.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _piece(x[part], y[part])


def erf(x: Any) -> Any:
    a, y, out = flat(x)
    if out.size <= GRAIN:
        _piece(a, out)
    else:
        with parallel_region():
            _pieces(a, out)
    return y
