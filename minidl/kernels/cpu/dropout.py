"""Dropout on the CPU; formula and numbering in ``plain/dropout.py``. Random words are made and used in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.backend.layout import channels_last, from_channels_last
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.philox import fill_words, halves
from minidl.kernels.cpu.shared import GRAIN, OPTIONS
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["dropout_forward"]

WORDS = 1024  # random words at a time: 4 KiB, they never leave the first-level cache


@njit(**OPTIONS)
def _piece(
    x: Any, y: Any, start: int, threshold: int, scale: Any, seed: tuple[int, int], step: tuple[int, int], site: int
) -> None:
    """x and y are the elements from number ``start``, a multiple of 4."""
    zero = x.dtype.type(0)
    least = np.uint32(threshold)
    words = np.empty(WORDS, np.uint32)
    for begin in range(0, x.size, WORDS):
        a, b = x[begin : begin + WORDS], y[begin : begin + WORDS]
        fill_words((start + begin) // 4, seed, step, site, words[: (a.size + 3) // 4 * 4])
        for i in range(a.size):
            b[i] = a[i] * (scale if words[i] >= least else zero)


@njit(parallel=True, **OPTIONS)
def _pieces(
    x: Any, y: Any, threshold: int, scale: Any, seed: tuple[int, int], step: tuple[int, int], site: int
) -> None:
    for i in prange((x.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _piece(x[part], y[part], i * GRAIN, threshold, scale, seed, step, site)


def dropout_forward(x: Any, p: float, seed: int, step: int, site: int) -> Any:
    dense = channels_last(x) if x.ndim == 4 else np.ascontiguousarray(x)
    y = np.empty(dense.shape, dtype=x.dtype)
    a, b = dense.reshape(-1), y.reshape(-1)
    draw = int(p * 2**32), x.dtype.type(1 / (1 - p)), halves(seed), halves(step), site
    if a.size <= GRAIN:
        _piece(a, b, 0, *draw)
    else:
        with parallel_region():
            _pieces(a, b, *draw)
    return from_channels_last(y) if x.ndim == 4 else y.reshape(x.shape)
